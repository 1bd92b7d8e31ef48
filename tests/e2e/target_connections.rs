//! The connections to a target: kept, refused, and too slow.

use std::time::{Duration, Instant};

use crate::{
    delivery::send_named,
    support::{
        Answer, Client, Count, Relay, Request, Rig, SOON, Upstream, eventually, ports::Refusing,
    },
};

#[test]
fn a_target_that_closes_after_each_answer_loses_nothing() {
    let target = Upstream::answering(Answer::ok().close());
    let rig = Rig::with(Upstream::ok(), target, &["queue-size: 1000"], |b| b);
    send_named(&rig.relay, (0..200).map(|index| format!("app{index}")));
    let ledger = rig.settled(200);
    assert_eq!(ledger.sent.profiles, 200, "{ledger:?}");
    let names: Vec<_> = rig
        .target
        .requests()
        .iter()
        .map(|r| r.head.query())
        .collect();
    assert_eq!(names.len(), 200, "each once");
}

#[test]
fn connections_to_a_target_are_kept_and_used_again() {
    let rig = Rig::new();
    for index in 0..50 {
        rig.send(&Request::profile("app", b"profile"));
        rig.settled(index + 1);
    }
    assert_eq!(rig.target.connections(), 1);
}

#[test]
fn a_dead_target_is_hardly_connected_to_under_steady_load() {
    let (upstream, dead) = (Upstream::ok(), Refusing::new());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("dead", &dead.url(), &[])
        .spawn();
    let mut client = Client::connect(relay.addr());
    let end = Instant::now() + Duration::from_secs(3);
    let mut sent: u32 = 0;
    while Instant::now() < end {
        let answer = client.exchange(&Request::profile("app", b"profile"));
        assert_eq!(answer.status(), 200);
        sent += 1;
    }
    let labels = [("target", "dead"), ("kind", "connect")];
    let metrics = relay.metrics();
    let tries = metrics.sum("pyroscope_remote_write_request_errors_total", &labels);
    assert!(
        (1.0..=8.0).contains(&tries),
        "{tries} tries, {sent} profiles"
    );
    let ledger = relay.ledger("dead");
    assert_eq!(ledger.accepted.profiles, u64::from(sent));
    assert_eq!(ledger.sent.profiles, 0);
}

#[test]
fn a_target_that_comes_back_gets_what_waited_for_it() {
    let upstream = Upstream::ok();
    let address = Upstream::ok().stop();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &format!("http://{address}"), &[])
        .spawn();
    send_named(&relay, (0..10).map(|index| format!("app{index}")));
    let labels = [("target", "central"), ("kind", "connect")];
    let failed = "pyroscope_remote_write_request_errors_total";
    eventually(SOON, "a failed try", || {
        relay.metrics().sum(failed, &labels) > 0.0
    });
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let ledger = relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 10);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    assert_eq!(target.requests().len(), 10, "each once");
}

#[test]
fn a_target_that_answers_too_late_is_a_timeout() {
    let rig = Rig::with(
        Upstream::ok(),
        Upstream::answering(Answer::never()),
        &["timeout: 200ms", "on-ambiguous: drop"],
        |builder| builder,
    );
    rig.send(&Request::profile("app", b"profile"));
    let ledger = rig.settled(1);
    assert_eq!(ledger.dropped("ambiguous"), Count::new(1, 7));
    let labels = [("target", "central"), ("kind", "timeout")];
    let name = "pyroscope_remote_write_request_errors_total";
    assert_eq!(rig.relay.metrics().value(name, &labels), Some(1.0));
}
