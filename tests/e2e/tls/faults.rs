//! The faults that are held against targets, against the upstream and against calls of gRPC.

use std::sync::Arc;

use pyrotee_tls::testing::{Pair, dates};

use super::fault::{Fault, Files, Mend};
use crate::support::{
    Speech,
    tls::{TLS12, TLS13, server_with},
};

const CA: &str = "ca-file: DIR/ca.crt";
const WITH_CLIENT: &str =
    "ca-file: DIR/ca.crt, cert-file: DIR/client.crt, key-file: DIR/client.key";
const WITH_STRANGER: &str =
    "ca-file: DIR/ca.crt, cert-file: DIR/stranger.crt, key-file: DIR/stranger.key";

/// A fault of the server's certificate; the others differ from it.
const EXPIRED: Fault = Fault {
    name: "expired",
    speech: |files| files.dated(2020, 2021),
    scheme: "https",
    keys: CA,
    text: "a certificate that the server shows expired on 2021-01-01",
    remedy: "renew the server's certificate",
    mend: Mend::Server,
};

/// Faults of the certificate that the server shows.
pub(super) const SHOWN: &[Fault] = &[
    EXPIRED,
    Fault {
        name: "not yet valid",
        speech: |files| files.dated(2099, 2100),
        text: "is valid only from 2099-01-01",
        remedy: "correct this machine's clock",
        ..EXPIRED
    },
    Fault {
        name: "wrong name",
        speech: |files| files.named(&["other.example"]),
        text: "is for other.example, not for localhost",
        remedy: "set server-name to a name of the certificate",
        mend: Mend::Keys("ca-file: DIR/ca.crt, server-name: other.example"),
        ..EXPIRED
    },
    Fault {
        name: "wrong server-name",
        speech: |files| files.named(&["localhost"]),
        keys: "ca-file: DIR/ca.crt, server-name: other.example",
        text: "is for localhost, not for other.example",
        remedy: "set server-name to a name of the certificate",
        mend: Mend::Keys(CA),
        ..EXPIRED
    },
    Fault {
        name: "common name only",
        speech: |files| files.named(&[]),
        text: "has no subjectAltName, so it is not for localhost",
        remedy: "a common name does not count",
        ..EXPIRED
    },
    Fault {
        name: "for clients only",
        speech: |files| {
            let pair = files
                .authority
                .issuer()
                .issue_with(&["localhost"], |params| {
                    params.extended_key_usages.remove(0);
                });
            Files::shows(&pair)
        },
        text: "is not issued for servers",
        remedy: "extendedKeyUsage serverAuth",
        ..EXPIRED
    },
];

/// Faults of the authorities that the relay trusts.
pub(super) const TRUST: &[Fault] = &[
    Fault {
        name: "no ca-file",
        speech: Files::valid,
        keys: "",
        text: "is signed by no authority that this machine trusts",
        remedy: "set ca-file to the authority that signed it",
        mend: Mend::Keys(CA),
        ..EXPIRED
    },
    Fault {
        name: "another authority",
        speech: Files::valid,
        keys: "ca-file: DIR/other.crt",
        text: "is signed by no authority in ca-file",
        remedy: "set ca-file to the authority that signed it",
        mend: Mend::Files(|files| {
            let ca = files.authority.issuer().pem();
            files.authority.write("other.crt", &ca);
        }),
        ..EXPIRED
    },
    Fault {
        name: "intermediate not sent",
        speech: |files| {
            let between = files.authority.issuer().intermediate("between");
            Files::shows(&between.issue(&["localhost"]))
        },
        text: "is signed by no authority in ca-file",
        remedy: "let the server send its intermediate",
        ..EXPIRED
    },
    Fault {
        name: "authority as leaf",
        speech: |files| {
            let pair = Pair::self_signed(&["localhost"], true);
            files.authority.write("shown.crt", &pair.cert);
            Files::shows(&pair)
        },
        text: "shows the certificate of an authority (CA:TRUE) as its own",
        remedy: "put this certificate into ca-file",
        mend: Mend::Keys("ca-file: DIR/shown.crt"),
        ..EXPIRED
    },
    Fault {
        name: "pinned and expired",
        speech: |files| {
            let pair = Pair::self_signed_with(&["localhost"], true, |it| dates(it, 2020, 2021));
            files.authority.write("other.crt", &pair.cert);
            Files::shows(&pair)
        },
        keys: "ca-file: DIR/other.crt",
        mend: Mend::Keys("insecure-skip-verify: true"),
        ..EXPIRED
    },
];

/// Client certificates that the server wants or refuses: in the handshake with TLS 1.2, after it with TLS 1.3.
pub(super) const CLIENT: &[Fault] = &[
    Fault {
        name: "none, TLS 1.2",
        speech: |files| files.demanding(TLS12),
        ..NO_CERTIFICATE
    },
    NO_CERTIFICATE,
    Fault {
        name: "wrong authority, TLS 1.2",
        speech: |files| files.demanding(TLS12),
        ..WRONG_AUTHORITY
    },
    WRONG_AUTHORITY,
    Fault {
        name: "expired client certificate",
        speech: |files| {
            let issuer = files.authority.issuer();
            let old = issuer.issue_with(&["edge"], |it| dates(it, 2020, 2021));
            files.authority.put("stranger", &old);
            files.demanding(TLS13)
        },
        text: "says that the certificate in cert-file has expired",
        remedy: "renew the certificate in cert-file",
        ..WRONG_AUTHORITY
    },
];

/// With TLS 1.3, the refusal comes after the handshake.
pub(super) const NO_CERTIFICATE: Fault = Fault {
    name: "none, TLS 1.3",
    speech: |files| files.demanding(TLS13),
    text: "wants a client certificate, and none is configured",
    remedy: "set cert-file and key-file",
    mend: Mend::Keys(WITH_CLIENT),
    ..EXPIRED
};

pub(super) const WRONG_AUTHORITY: Fault = Fault {
    name: "wrong authority, TLS 1.3",
    keys: WITH_STRANGER,
    text: "does not know the authority that signed the certificate in cert-file",
    remedy: "let the server trust the authority of cert-file",
    mend: Mend::Files(|files| files.authority.issue("stranger", "edge")),
    ..NO_CERTIFICATE
};

/// Servers that speak something else.
pub(super) const SPEECH: &[Fault] = &[
    Fault {
        name: "TLS 1.2 only",
        speech: |files| {
            let pair = files.authority.pair("localhost");
            Speech::Tls(Arc::new(server_with(&pair, None, TLS12)))
        },
        keys: "ca-file: DIR/ca.crt, min-version: \"1.3\"",
        text: "does not speak TLS 1.3, which min-version asks for",
        remedy: "set min-version to",
        mend: Mend::Keys(CA),
        ..EXPIRED
    },
    Fault {
        name: "HTTP on an https port",
        speech: |_| {
            Speech::Say(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )
        },
        text: "the server answered without TLS",
        remedy: "write http:// in the address",
        ..EXPIRED
    },
    Fault {
        name: "http on a TLS port",
        speech: Files::valid,
        scheme: "http",
        keys: "",
        text: "the server speaks TLS on this port",
        remedy: "write https:// in the address",
        mend: Mend::Keys(CA),
    },
];
