//! The faults of a server, of a client certificate and of an address, and what is expected of the relay.

use crate::tls::{
    files::{CA, Files, Shown},
    servers::{Listener, Make, VALID},
};

/// A server, the keys of `tls` towards the server, and what is expected of it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) listener: Listener,
    /// The file of the authorities that the relay trusts.
    ca: &'static str,
    /// The name in the certificate, if it is not the host of the address.
    server_name: &'static str,
    min_version: &'static str,
    /// The certificate of the relay.
    shown: Option<Shown>,
    scheme: &'static str,
    pub(super) expected: Expected,
}

pub(super) enum Expected {
    Delivered,
    /// The outcome is `broken`, and the status has these words.
    Broken(&'static [&'static str]),
    /// The server just closes the connection, and the status has these words.
    Ambiguous(&'static [&'static str]),
}

use Expected::{Ambiguous, Broken, Delivered};

const REQUIRING: Listener = Listener {
    clients: "on",
    ..VALID
};

/// A valid server whose address and keys fit.
fn case(name: &'static str, expected: Expected) -> Case {
    Case {
        name,
        listener: VALID,
        ca: CA,
        server_name: "",
        min_version: "1.2",
        shown: None,
        scheme: "https",
        expected,
    }
}

/// Faults of the server's certificate or version, and servers without a fault.
fn servers() -> Vec<Case> {
    let showing = |name, shown, expected| Case {
        listener: Listener { shown, ..VALID },
        ..case(name, expected)
    };
    let old = Listener {
        max: "1.2",
        ..VALID
    };
    vec![
        case("valid", Delivered),
        showing(
            "expired",
            Shown::Expired,
            Broken(&["expired on 2021-01-01", "renew"]),
        ),
        showing(
            "wrong-name",
            Shown::OtherName,
            Broken(&["is for other.example, not for localhost", "server-name"]),
        ),
        Case {
            server_name: "other.example",
            ..showing("server-name", Shown::OtherName, Delivered)
        },
        showing(
            "unknown-ca",
            Shown::Stranger,
            Broken(&["signed by no authority in ca-file", "set ca-file"]),
        ),
        showing(
            "authority-as-leaf",
            Shown::Pinned,
            Broken(&["shows the certificate of an authority", "into ca-file"]),
        ),
        Case {
            ca: "pinned.crt",
            ..showing("pinned", Shown::Pinned, Delivered)
        },
        Case {
            listener: old,
            ..case("tls12", Delivered)
        },
        Case {
            listener: old,
            min_version: "1.3",
            ..case(
                "tls12-only",
                Broken(&["does not speak TLS 1.3", "min-version"]),
            )
        },
    ]
}

/// Servers that ask for a certificate of the relay. nginx answers a certificate that it does not like with a page.
fn asking(make: Make) -> Vec<Case> {
    let is_nginx = make == Make::Nginx;
    let words = |of_alert, of_page| Broken(if is_nginx { of_page } else { of_alert });
    let missing = || {
        words(
            &[
                "wants a client certificate, and none is configured",
                "set cert-file",
            ],
            &["No required SSL certificate was sent", "tls.cert-file"],
        )
    };
    let showing = |name, shown, expected| Case {
        listener: REQUIRING,
        shown: Some(shown),
        ..case(name, expected)
    };
    let page: &[_] = &["The SSL certificate error", "tls.cert-file"];
    vec![
        showing("client", Shown::Valid, Delivered),
        showing("pinned-client", Shown::Pinned, Delivered),
        showing(
            "client-for-servers",
            Shown::ForServers,
            words(
                match make {
                    Make::Go => &["does not accept the certificate in cert-file", "clientAuth"],
                    _ => &[
                        "the certificate in cert-file is of the wrong kind",
                        "clientAuth",
                    ],
                },
                page,
            ),
        ),
        Case {
            listener: REQUIRING,
            ..case("no-client", missing())
        },
        Case {
            listener: Listener {
                max: "1.2",
                ..REQUIRING
            },
            ..case("no-client-tls12", missing())
        },
        Case {
            listener: Listener {
                clients: "optional",
                ..VALID
            },
            ..case("optional", Delivered)
        },
        showing(
            "wrong-client-ca",
            Shown::Stranger,
            words(
                &["does not know the authority that signed the certificate in cert-file"],
                page,
            ),
        ),
        showing(
            "expired-client",
            Shown::Expired,
            words(&["the certificate in cert-file has expired", "renew"], page),
        ),
    ]
}

/// Addresses with the scheme of the other protocol.
fn schemes(make: Make) -> Vec<Case> {
    let http_to_https = |expected| Case {
        scheme: "http",
        ..case("http-to-https", expected)
    };
    if make == Make::OpenSsl {
        return vec![http_to_https(Ambiguous(&["has the right scheme and port"]))];
    }
    vec![
        Case {
            listener: Listener {
                plain: true,
                ..VALID
            },
            ..case(
                "https-to-http",
                Broken(&["answered without TLS", "write http://"]),
            )
        },
        http_to_https(Broken(&["HTTPS", "check the scheme"])),
    ]
}

/// All faults of TLS.
pub(super) fn all(make: Make) -> Vec<Case> {
    let mut cases = servers();
    cases.extend(asking(make));
    cases
}

/// All faults of TLS, and wrong schemes.
pub(super) fn with_schemes(make: Make) -> Vec<Case> {
    let mut cases = all(make);
    cases.extend(schemes(make));
    cases
}

impl Case {
    pub(super) fn keys(&self, files: &Files) -> Vec<String> {
        let address = format!("ca-file: {}", files.path(self.ca));
        let mut keys = vec![address, format!("min-version: \"{}\"", self.min_version)];
        if !self.server_name.is_empty() {
            keys.push(format!("server-name: {}", self.server_name));
        }
        keys.extend(self.shown.map(|shown| files.keys(shown)));
        match self.scheme {
            "https" => vec![format!("tls: {{ {} }}", keys.join(", "))],
            _ => Vec::new(),
        }
    }

    pub(super) fn address(&self, port: u16) -> String {
        format!("{}://localhost:{port}", self.scheme)
    }
}
