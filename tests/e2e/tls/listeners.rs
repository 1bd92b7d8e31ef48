//! A relay whose two listeners speak TLS with the same files and keys.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::support::{
    Metrics, Relay, Request, SOON, TlsClient, Upstream, pki::Authority, poll, tls,
};
use rustls::ALL_VERSIONS;

/// Counts the handshakes that failed.
const ERRORS: &str = "pyroscope_relay_tls_handshake_errors_total";

/// A relay without a local upstream, with the certificate `relay` for `localhost` on both listeners.
pub(super) struct Listeners {
    pub(super) relay: Relay,
    pub(super) files: Authority,
    pub(super) target: Upstream,
    /// Has a certificate that every `client-auth` accepts.
    pub(super) trusted: TlsClient,
}

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    Data,
    Admin,
}

impl Listener {
    pub(super) const ALL: [Self; 2] = [Self::Data, Self::Admin];

    /// The value of the label `listener`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Admin => "admin",
        }
    }

    /// A request that the listener answers with a 200.
    pub(super) fn request(self) -> Request {
        match self {
            Self::Data => Request::profile("app", b"profile"),
            Self::Admin => Request::get("/api/v1/status"),
        }
    }
}

impl Listeners {
    /// `keys` are further keys of both sections, each after a comma; `client_ca` is written as the file `{clients}`.
    pub(super) fn new(keys: &str, client_ca: &str) -> Self {
        let files = Authority::new();
        files.issue("relay", "localhost");
        files.write("clients.crt", &(files.issuer().pem() + client_ca));
        let (cert, key) = (files.text("relay.crt"), files.text("relay.key"));
        let keys = keys.replace("{clients}", &files.text("clients.crt"));
        let section = |name| format!("{name}: {{ cert-file: {cert}, key-file: {key}{keys} }}\n");
        let target = Upstream::ok();
        let relay = Relay::builder()
            .remote_write("disable-local-writes: true")
            .yaml(&(section("listen-tls") + &section("admin-tls") + "reload: { interval: 50ms }"))
            .target("central", &target, &[])
            .spawn();
        let own = files.pair("operator");
        let trusted = tls::client(&files.issuer().pem(), Some(&own), ALL_VERSIONS);
        Self {
            relay,
            files,
            target,
            trusted: TlsClient::new(trusted),
        }
    }

    pub(super) fn address(&self, listener: Listener) -> SocketAddr {
        match listener {
            Listener::Data => self.relay.addr(),
            Listener::Admin => self.relay.admin(),
        }
    }

    /// How many handshakes failed so far, by kind.
    pub(super) fn failures(&self, listener: Listener) -> BTreeMap<String, f64> {
        let page = self
            .trusted
            .send(self.relay.admin(), &Request::get("/metrics"))
            .expect("the client is trusted");
        let metrics =
            Metrics::parse(std::str::from_utf8(&page.body.data).expect("metrics are text"));
        let kinds = metrics.labels(ERRORS).into_iter();
        let kinds = kinds.filter(|labels| labels["listener"] == listener.as_str());
        let counts = kinds.map(|labels| {
            let kind = labels["kind"].clone();
            let labels = [("listener", listener.as_str()), ("kind", &*kind)];
            let count = metrics.sum(ERRORS, &labels);
            (kind, count)
        });
        counts.filter(|(_, count)| *count > 0.0).collect()
    }

    /// Waits until `more` further handshakes of `kind` were counted since `before`, and none of another kind.
    pub(super) fn wait_failures(
        &self,
        listener: Listener,
        before: &BTreeMap<String, f64>,
        kind: &str,
        more: f64,
        case: &str,
    ) {
        let mut expected = before.clone();
        *expected.entry(kind.to_owned()).or_default() += more;
        let what = format!("{case}: {more} of {kind} on {listener:?}");
        let counted = poll(2 * SOON, || {
            (self.failures(listener) == expected).then_some(())
        });
        if counted.is_none() {
            assert_eq!(self.failures(listener), expected, "{what}");
        }
    }

    /// Lines of the log about failed handshakes of a kind.
    pub(super) fn lines(&self, listener: Listener, kind: &str) -> usize {
        let logs = self.relay.logs();
        let lines = logs.iter().filter(|line| {
            let get = |key: &str| line.get(key).or_else(|| line.get("fields")?.get(key));
            let is = |key: &str, value: &str| get(key).is_some_and(|it| *it == value);
            is("message", "client failed the TLS handshake")
                && is("listener", listener.as_str())
                && is("kind", kind)
        });
        lines.count()
    }
}
