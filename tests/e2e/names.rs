//! Host names in addresses of the upstream and of targets.

use crate::support::{Relay, Request, SOON, Upstream, eventually};

#[test]
fn a_target_on_localhost_is_found_by_that_name() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let address = format!("localhost:{}", target.address().port());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &format!("http://{address}"), &[])
        .spawn();
    assert_eq!(
        relay.send(&Request::profile("app", b"profile")).status(),
        200
    );
    let request = target.only();
    assert_eq!(request.body.data, b"profile");
    assert_eq!(request.head.get("host"), Some(address));
}

#[test]
fn a_target_on_an_ipv6_address_is_reached() {
    let upstream = Upstream::ok();
    let target = Upstream::at("[::1]:0", |_| crate::support::Answer::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("central", &target, &[])
        .spawn();
    relay.send(&Request::profile("app", b"profile"));
    let host = target.only().head.get("host");
    assert_eq!(host, Some(target.address().to_string()));
}

#[test]
fn an_upstream_on_localhost_is_found_by_that_name() {
    let upstream = Upstream::ok();
    let address = format!("http://localhost:{}", upstream.address().port());
    let relay = Relay::builder().upstream_address(&address).spawn();
    assert_eq!(relay.send(&Request::get("/")).status(), 200);
}

#[test]
fn a_name_that_does_not_exist_is_counted_and_the_client_never_notices() {
    let (upstream, healthy) = (Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("nowhere", "http://nowhere.invalid:4040", &["timeout: 60s"])
        .target("healthy", &healthy, &[])
        .spawn();
    for _ in 0..10 {
        let answer = relay.send(&Request::profile("app", b"profile"));
        assert_eq!(answer.status(), 200);
    }
    healthy.wait_for(10, SOON);
    // A resolver may take some time to report that a name does not exist.
    let labels = [("target", "nowhere"), ("kind", "dns")];
    let name = "pyroscope_remote_write_request_errors_total";
    eventually(3 * SOON, "a failure of the name", || {
        relay.metrics().sum(name, &labels) >= 1.0
    });
    let ledger = relay.ledger("nowhere");
    assert_eq!(ledger.accepted.profiles, 10);
    assert_eq!(ledger.pending.profiles, 10, "they wait: {ledger:?}");
}
