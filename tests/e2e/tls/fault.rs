//! A fault between the relay and a server, and its remedy.

use std::sync::Arc;

use pyrotee_tls::testing::{self, Pair, dates};

use crate::support::{
    Front, Relay, Speech,
    pki::Authority,
    tls::{Versions, server, server_with},
};

/// Certificates of one test. `DIR/ca.crt` is the authority of the server, `DIR/other.crt` an authority that signed
/// nothing here; `client` is a certificate of the first, `stranger` one of the second.
pub(super) struct Files {
    pub(super) authority: Authority,
}

/// A fault. `DIR` in its keys is the directory of [`Files`].
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) speech: fn(&Files) -> Speech,
    pub(super) scheme: &'static str,
    /// The keys of `tls`.
    pub(super) keys: &'static str,
    /// What log, status and response say.
    pub(super) text: &'static str,
    pub(super) remedy: &'static str,
    pub(super) mend: Mend,
}

/// What an operator does about a fault.
#[derive(Clone, Copy)]
pub(super) enum Mend {
    /// The server gets a valid certificate.
    Server,
    /// The configuration gets other keys of `tls`, and an https address.
    Keys(&'static str),
    /// A file of the configuration gets another content.
    Files(fn(&Files)),
}

impl Files {
    pub(super) fn new() -> Self {
        let (authority, other) = (Authority::new(), testing::Authority::new("other"));
        authority.write("other.crt", &other.pem());
        authority.issue("client", "edge");
        authority.put("stranger", &other.issue(&["edge"]));
        Self { authority }
    }

    /// TLS with a valid certificate, which demands none.
    pub(super) fn valid(&self) -> Speech {
        self.named(&["localhost"])
    }

    pub(super) fn named(&self, names: &[&str]) -> Speech {
        Files::shows(&self.authority.issuer().issue(names))
    }

    /// TLS with this certificate.
    pub(super) fn shows(pair: &Pair) -> Speech {
        Speech::Tls(Arc::new(server(pair)))
    }

    /// Adds an authority to `DIR/ca.crt`.
    pub(super) fn renew_ca(&self) {
        let both = self.authority.issuer().pem() + &testing::Authority::new("another").pem();
        self.authority.write("ca.crt", &both);
    }

    pub(super) fn dated(&self, from: i32, to: i32) -> Speech {
        let issuer = self.authority.issuer();
        Files::shows(&issuer.issue_with(&["localhost"], |params| dates(params, from, to)))
    }

    /// TLS with a valid certificate, which demands one of the same authority.
    pub(super) fn demanding(&self, versions: Versions) -> Speech {
        let (pair, ca) = (
            self.authority.pair("localhost"),
            self.authority.issuer().pem(),
        );
        Speech::Tls(Arc::new(server_with(&pair, Some(&ca), versions)))
    }

    /// The line `tls` with these keys.
    pub(super) fn tls(&self, keys: &str) -> String {
        format!(
            "tls: {{ {} }}",
            keys.replace("DIR/", &self.authority.text(""))
        )
    }
}

impl Fault {
    /// The address of the server, as the configuration has it.
    pub(super) fn address(&self, front: &Front) -> String {
        front.url("localhost").replacen("https", self.scheme, 1)
    }

    /// Mends the fault while the relay runs.
    pub(super) fn mend(&self, files: &Files, front: &Front, relay: &Relay) {
        match self.mend {
            Mend::Server => front.set(files.valid()),
            Mend::Files(rewrite) => rewrite(files),
            Mend::Keys(keys) => {
                let text = relay.config().read();
                let text = text.replace(&files.tls(self.keys), &files.tls(keys));
                let text = text.replace(&self.address(front), &front.url("localhost"));
                relay.config().rename_over(&text);
            }
        }
    }
}
