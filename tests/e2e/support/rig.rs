//! The usual arrangement: a relay between a client, a local upstream and one target.

use super::{
    client::{Client, Request, Response},
    config::Builder,
    metrics::Ledger,
    poll::SOON,
    relay::Relay,
    upstream::{self, Upstream},
};

/// A relay with an upstream and a target that is named `central`.
#[derive(Debug)]
pub(crate) struct Rig {
    // The first field, so that the relay is dropped before its upstream and its target.
    pub(crate) relay: Relay,
    pub(crate) upstream: Upstream,
    pub(crate) target: Upstream,
}

impl Rig {
    /// Upstream and target accept everything; the target has no tags.
    pub(crate) fn new() -> Self {
        Self::with(Upstream::ok(), Upstream::ok(), &[], |builder| builder)
    }

    /// Upstream and target accept everything; the target has `tags`, in YAML's flow style without the braces.
    pub(crate) fn tagged(tags: &str) -> Self {
        let tags = format!("tags: {{ {tags} }}");
        Self::with(Upstream::ok(), Upstream::ok(), &[&tags], |builder| builder)
    }

    /// A rig whose relay adds nothing to requests, so that a test can compare them with the client's.
    pub(crate) fn verbatim(upstream: Upstream) -> Self {
        Self::with(upstream, Upstream::ok(), &[], verbatim)
    }

    pub(crate) fn with(
        upstream: Upstream,
        target: Upstream,
        options: &[&str],
        build: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let builder = Relay::builder()
            .upstream(&upstream)
            .target("central", &target, options);
        Self {
            relay: build(builder).spawn(),
            upstream,
            target,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.relay.addr())
    }

    pub(crate) fn send(&self, request: &Request) -> Response {
        self.relay.send(request)
    }

    /// Waits until `accepted` profiles were offered to the target and all of them have been sent or dropped.
    pub(crate) fn settled(&self, accepted: u64) -> Ledger {
        self.relay
            .wait_ledger("central", &format!("{accepted} settled"), |ledger| {
                ledger.accepted.profiles == accepted && ledger.pending.profiles == 0
            })
    }

    /// Sends a profile that is certainly teed, and returns the requests that the target got before.
    ///
    /// Uploads of one target may overtake one another, so the account is checked as well: nothing else is in flight.
    pub(crate) fn teed_before_now(&self) -> Vec<upstream::Request> {
        let path = "/ingest?name=the.marker&from=1&until=2";
        let before = self.relay.ledger("central").accepted.profiles;
        let answer = self.send(&Request::post(path, b"marker"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        self.settled(before + 1);
        let is_marker = |r: &upstream::Request| r.head.query().contains("the.marker");
        self.target.wait_until(SOON, "the marker", |requests| {
            requests.iter().any(is_marker)
        });
        let mut arrivals = self.target.arrivals();
        arrivals.retain(|request| !is_marker(request));
        arrivals
    }
}

/// Turns off the forwarding headers, which are all that the relay adds to a request by default.
pub(crate) fn verbatim(builder: Builder) -> Builder {
    builder.upstream_option("forwarded-headers: false")
}
