//! TLS towards a server (`tls`), and TLS of a listener (`listen-tls`, `admin-tls`).

use http::uri::Scheme;
use pyrotee_net::Address;
use pyrotee_tls::{
    Alpn, ClientAuth, ClientTls, ClientTlsSettings, IdentityPem, MinVersion, PemFile, ServerTls,
    ServerTlsSettings, TlsFault,
};
use pyrotee_yaml::values;

use crate::{
    faults::with_semicolon,
    reader::Scope,
    settings::{ListenerTls, OutgoingTls},
};

/// The section of the admin listener.
pub(crate) const ADMIN_TLS: &str = "admin-tls";

/// Words for `min-version`.
const VERSIONS: &[(&str, MinVersion)] = &[
    (MinVersion::Tls12.as_str(), MinVersion::Tls12),
    (MinVersion::Tls13.as_str(), MinVersion::Tls13),
];

/// Words for `client-auth`.
const CLIENT_AUTH: &[(&str, ClientAuth)] = &[
    (ClientAuth::None.as_str(), ClientAuth::None),
    (ClientAuth::Request.as_str(), ClientAuth::Request),
    (ClientAuth::Require.as_str(), ClientAuth::Require),
];

/// A listener whose connections may speak TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    Data,
    Admin,
}

/// TLS towards the server at `address`; the inner `None` if the address is `http://`. `address` is `None` if it is faulty.
pub(super) fn outgoing(
    parent: &Scope<'_>,
    address: Option<&Address>,
) -> Option<Option<OutgoingTls>> {
    if parent.is_faulty("tls") {
        return None;
    }
    let scope = &parent.scope("tls");
    if address.is_some_and(|address| *address.scheme() != Scheme::HTTPS) {
        if is_given(scope) {
            let text = "stands beside an address with http://; write https://… or remove it";
            scope.fault("", text);
            return None;
        }
        return Some(None);
    }
    let tls = client(parent);
    // Without a valid address nothing says whether this is the TLS of a connection.
    address?;
    tls.map(Some)
}

/// TLS of connections that speak it, from the section `tls`.
pub(super) fn client(parent: &Scope<'_>) -> Option<OutgoingTls> {
    if parent.is_faulty("tls") {
        return None;
    }
    let scope = &parent.scope("tls");
    let system_roots = scope.parse("system-roots", values::boolean);
    let insecure_skip_verify = scope.parse("insecure-skip-verify", values::boolean);
    let min_version = min_version(scope);
    let server_name = match scope.text("server-name") {
        Some("") => {
            scope.fault("server-name", "is empty; write a name, or remove the key");
            None
        }
        name => (!scope.is_faulty("server-name")).then_some(name.map(str::to_owned)),
    };
    let files = files(scope, ["ca-file", "cert-file", "key-file"]);
    let [ca, cert, key] = files?;
    let settings = ClientTlsSettings {
        ca,
        system_roots: system_roots?,
        identity: cert.zip(key).map(|(cert, key)| IdentityPem { cert, key }),
        server_name: server_name?,
        min_version: min_version?,
        insecure_skip_verify: insecure_skip_verify?,
    };
    let roots = scope.tree().system_roots()?;
    let tls = built(scope, ClientTls::build(&settings, roots))?;
    Some(OutgoingTls { settings, tls })
}

/// TLS of a listener; the inner `None` if its section has no key.
pub(super) fn listener(
    root: &Scope<'_>,
    name: &str,
    listener: Listener,
) -> Option<Option<ListenerTls>> {
    if root.is_faulty(name) {
        return None;
    }
    let scope = &root.scope(name);
    let min_version = min_version(scope);
    let client_auth = scope.parse("client-auth", |text| values::word(text, CLIENT_AUTH));
    if !is_given(scope) {
        return Some(None);
    }
    let [cert, key, client_ca] = files(scope, ["cert-file", "key-file", "client-ca-file"])?;
    let client_auth = match client_auth {
        Some(auth) => auth,
        None if scope.text("client-auth").is_some() || scope.is_faulty("client-auth") => {
            return None;
        }
        None if client_ca.is_some() => ClientAuth::Require,
        None => ClientAuth::None,
    };
    let Some((cert, key)) = cert.zip(key) else {
        let text = "is missing; write the path of the listener's certificate, and its key-file";
        scope.fault("cert-file", text);
        return None;
    };
    let settings = ServerTlsSettings {
        identity: IdentityPem { cert, key },
        client_ca,
        client_auth,
        min_version: min_version?,
    };
    let built_tls = match listener {
        Listener::Data => ServerTls::build(&settings, &[Alpn::H2, Alpn::Http1]),
        // Health checks have no certificate, so the guard asks for it and not the handshake.
        Listener::Admin => {
            let mut asking = settings.clone();
            if client_auth == ClientAuth::Require && asking.client_ca.is_some() {
                asking.client_auth = ClientAuth::Request;
            }
            ServerTls::build(&asking, &[Alpn::Http1])
        }
    };
    let tls = built(scope, built_tls)?;
    Some(Some(ListenerTls { settings, tls }))
}

/// Whether a key of the section is set.
pub(super) fn is_given(scope: &Scope<'_>) -> bool {
    scope.keys().iter().any(|key| scope.is_set(key))
}

/// The certificate of the admin listener; the inner `None` if the listener speaks plain HTTP.
pub(crate) fn admin_certificate(root: &Scope<'_>) -> Option<Option<PemFile>> {
    if root.is_faulty(ADMIN_TLS) {
        return None;
    }
    let [certificate] = files(&root.scope(ADMIN_TLS), ["cert-file"])?;
    Some(certificate)
}

fn min_version(scope: &Scope<'_>) -> Option<MinVersion> {
    scope.parse("min-version", |text| values::word(text, VERSIONS))
}

/// Adds the faults of TLS that cannot be built.
fn built<T>(scope: &Scope<'_>, built: Result<T, Vec<TlsFault>>) -> Option<T> {
    match built {
        Ok(built) => Some(built),
        Err(faults) => {
            for fault in faults {
                scope.fault(fault.part.as_str(), &with_semicolon(&fault.text));
            }
            None
        }
    }
}

/// The files of a section, read at one moment; `None` for a key that is not given.
fn files<const N: usize>(scope: &Scope<'_>, keys: [&str; N]) -> Option<[Option<PemFile>; N]> {
    let paths = keys.map(|key| path(scope, key));
    for (one, other) in [("cert-file", "key-file"), ("key-file", "cert-file")] {
        if scope.text(one).is_some() && scope.text(other).is_none() && !scope.is_faulty(other) {
            scope.fault(
                one,
                &format!("stands without {other}; write both or neither"),
            );
            return None;
        }
    }
    let given: Vec<&str> = paths.iter().flatten().flatten().copied().collect();
    let section = scope.shown_path("");
    let mut read = scope.tree().files().pem_files(&section, &given).into_iter();
    let mut whole = true;
    let mut found = [const { None }; N];
    for ((key, path), file) in keys.iter().zip(&paths).zip(&mut found) {
        match path.map(|path| path.and_then(|_| read.next())) {
            None => whole = false,
            Some(None) => {}
            Some(Some(Ok(pem))) => *file = Some(pem),
            Some(Some(Err(text))) => {
                scope.fault(key, &text);
                whole = false;
            }
        }
    }
    whole.then_some(found)
}

/// The path of a file: the outer `None` if it is faulty, the inner `None` if it is not given. A text that is no path is
/// not shown, because it may be a private key.
fn path<'t>(scope: &Scope<'t>, key: &str) -> Option<Option<&'t str>> {
    let Some(path) = scope.text(key) else {
        return (!scope.is_faulty(key)).then_some(None);
    };
    let text = if path.is_empty() {
        "is empty; write the path of a PEM file, or remove the key"
    } else if path.contains("-----BEGIN") {
        "holds the text of a PEM file; write it into a file, and the path of the file here"
    } else if path.chars().any(char::is_control) {
        "has a line break or another control character; write the path of a PEM file"
    } else {
        return Some(Some(path));
    };
    scope.fault(key, text);
    None
}
