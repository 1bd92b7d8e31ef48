//! Kept connections that the upstream or a target closes. The relay may send a request again at once only if the peer
//! cannot have received all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Answer, Client, Count, Relay, Request, Response, Rig, SOON, Upstream, client::noise,
};

/// An idle time above 1 s, after which a reset means that the peer had closed the connection.
const REST: Duration = Duration::from_millis(1_500);

/// An idle time well below 1 s.
const NO_REST: Duration = Duration::from_millis(800);

/// A relay whose upstream or target responds to the first request, ends the connection at the second, and responds to
/// all others.
fn rig(of_target: bool, option: &str, second: &Answer) -> Rig {
    let second = second.clone();
    let peer = Upstream::script(move |arrival| match arrival.index {
        1 => second.clone(),
        _ => Answer::ok(),
    });
    let options = [&format!("on-ambiguous: {option}"), "queue-workers: 1"];
    let (upstream, target) = match of_target {
        true => (Upstream::ok(), peer),
        false => (peer, Upstream::ok()),
    };
    Rig::with(upstream, target, &options, |builder| builder)
}

/// Sends two profiles, the second `rest` after the response to the first. Repeats with a new rig if this machine was
/// too slow for a short rest.
fn second(rest: Duration, body: &[u8], rig: impl Fn() -> Rig) -> (Rig, Response) {
    loop {
        let rig = rig();
        let mut client = rig.client();
        let first = client.exchange(&Request::profile("app", b"first"));
        assert_eq!(first.status(), 200);
        rig.settled(1);
        let answered = Instant::now();
        thread::sleep(rest);
        let answer = client.exchange(&Request::profile("app", body));
        if rest > NO_REST || answered.elapsed() < NO_REST {
            return (rig, answer);
        }
    }
}

/// Counts for the target: stale retries, ambiguous uploads, profiles sent, profiles dropped as ambiguous.
fn of_target(rig: &Rig) -> [f64; 4] {
    let ledger = rig.settled(2);
    let metrics = rig.relay.metrics();
    let profiles = |count: Count| f64::from(u32::try_from(count.profiles).expect("there are two"));
    let value = |name: &str| {
        let name = format!("pyroscope_remote_write_{name}");
        metrics.sum(&name, &[("target", "central")])
    };
    [
        value("stale_retries_total"),
        value("ambiguous_total"),
        profiles(ledger.sent),
        profiles(ledger.dropped("ambiguous")),
    ]
}

fn upstream_retries(relay: &Relay) -> f64 {
    relay
        .metrics()
        .sum("pyroscope_relay_upstream_retries_total", &[])
}

#[test]
fn a_target_that_closes_after_the_whole_upload_may_have_it() {
    // The target reads everything, then sends a FIN, or a reset on a connection that was not idle before.
    for second_answer in [Answer::hang_up(), Answer::raw(b"").reset()] {
        for (option, expected, arrived) in [
            ("retry", [0.0, 1.0, 2.0, 0.0], 3),
            ("drop", [0.0, 1.0, 1.0, 1.0], 2),
        ] {
            let rig = || rig(true, option, &second_answer);
            let (rig, _) = second(Duration::ZERO, b"second", rig);
            assert_eq!(of_target(&rig), expected, "{option}, {second_answer:?}");
            assert_eq!(rig.target.requests().len(), arrived, "{option}");
        }
    }
}

#[test]
fn a_target_that_closes_after_the_whole_upload_may_have_it_after_a_rest_too() {
    let rig = || rig(true, "drop", &Answer::hang_up());
    let (rig, _) = second(REST, b"second", rig);
    assert_eq!(of_target(&rig), [0.0, 1.0, 1.0, 1.0]);
}

#[test]
fn a_target_that_resets_a_connection_after_a_rest_had_closed_it() {
    let rig = || rig(true, "drop", &Answer::raw(b"").reset());
    let (rig, _) = second(REST, b"second", rig);
    assert_eq!(of_target(&rig), [1.0, 0.0, 2.0, 0.0]);
}

#[test]
fn a_target_that_closes_in_the_middle_of_an_upload_is_a_free_retry() {
    // More than the sockets hold, so that a part of the body is still unsent.
    let body = noise(16 << 20);
    for second_answer in [
        Answer::raw(b"").unread().linger(),
        Answer::raw(b"").unread().reset(),
    ] {
        let rig = || rig(true, "drop", &second_answer);
        let (rig, _) = second(Duration::ZERO, &body, rig);
        assert_eq!(of_target(&rig), [1.0, 0.0, 2.0, 0.0], "{second_answer:?}");
        let errors = "pyroscope_remote_write_request_errors_total";
        assert_eq!(
            rig.relay.metrics().sum(errors, &[("target", "central")]),
            0.0
        );
    }
}

#[test]
fn a_fresh_connection_that_ends_in_the_middle_of_an_upload_is_not_ambiguous() {
    let target = Upstream::script(|arrival| match arrival.index {
        0 => Answer::raw(b"").unread().linger(),
        _ => Answer::ok(),
    });
    let rig = Rig::with(Upstream::ok(), target, &["on-ambiguous: drop"], |builder| {
        builder
    });
    rig.send(&Request::profile("app", &noise(16 << 20)));
    assert_eq!(rig.settled(1).sent.profiles, 1);
}

#[test]
fn an_end_before_the_request_costs_nothing() {
    // The peer stops, which closes its connections, and starts again before the next request.
    for of_target in [true, false] {
        let (peer, other) = (Upstream::ok(), Upstream::ok());
        let (upstream, target) = match of_target {
            true => (other.url(), peer.url()),
            false => (peer.url(), other.url()),
        };
        let relay = Relay::builder()
            .upstream_address(&upstream)
            .target_address("central", &target, &["on-ambiguous: drop"])
            .spawn();
        let mut client = Client::connect(relay.addr());
        let profile = Request::profile("app", b"profile");
        assert_eq!(client.exchange(&profile).status(), 200);
        relay.wait_ledger("central", "sent", |ledger| ledger.sent.profiles == 1);
        let address = peer.stop();
        let peer = Upstream::at(&address.to_string(), |_| Answer::ok());
        assert_eq!(client.exchange(&profile).status(), 200);
        relay.wait_ledger("central", "both sent", |ledger| ledger.sent.profiles == 2);
        assert_eq!(peer.requests().len(), 1, "once");
    }
}

#[test]
fn a_post_that_the_upstream_may_have_is_not_sent_again() {
    for second_answer in [Answer::hang_up(), Answer::raw(b"").reset()] {
        let rig = || rig(false, "drop", &second_answer);
        let (rig, answer) = second(Duration::ZERO, b"second", rig);
        assert_eq!(answer.status(), 502, "{second_answer:?}");
        assert_eq!(rig.upstream.requests().len(), 2, "each once");
        assert_eq!(upstream_retries(&rig.relay), 0.0);
        assert_eq!(rig.settled(2).sent.profiles, 2, "the tee goes on");
    }
}

#[test]
fn an_idempotent_request_that_the_upstream_may_have_is_sent_again_once() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let rig = rig(false, "drop", &Answer::hang_up());
        let mut client = rig.client();
        for _ in 0..2 {
            assert_eq!(
                client.exchange(&Request::new(method, "/render")).status(),
                200
            );
        }
        assert_eq!(rig.upstream.requests().len(), 3, "{method}");
        assert_eq!(upstream_retries(&rig.relay), 1.0, "{method}");
    }
}

#[test]
fn an_upstream_that_resets_a_connection_after_a_rest_had_closed_it() {
    let rig = || rig(false, "drop", &Answer::raw(b"").reset());
    let (rig, answer) = second(REST, b"second", rig);
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream_retries(&rig.relay), 1.0);
}

#[test]
fn an_upstream_that_closes_in_the_middle_of_a_request_gets_it_again() {
    let rig = rig(false, "drop", &Answer::raw(b"").unread().linger());
    let mut client = rig.client();
    assert_eq!(
        client.exchange(&Request::profile("app", b"first")).status(),
        200
    );
    let whole = Request::profile("app", b"the first half, the second half").bytes();
    let (start, rest) = whole.split_at(whole.len() - 15);
    client.send(start);
    rig.upstream
        .wait_until(SOON, "the start of the second", |requests| {
            requests.len() >= 2
        });
    client.send(rest);
    assert_eq!(client.receive().status(), 200);
    let bodies = rig.upstream.bodies();
    assert_eq!(bodies.last().unwrap(), b"the first half, the second half");
    assert_eq!(upstream_retries(&rig.relay), 1.0);
}

#[test]
fn a_connection_that_closes_while_a_request_is_on_its_way_costs_nothing() {
    // Every third request on a connection crosses the peer's FIN, and the peer's kernel refuses the request.
    const REQUESTS: u64 = 60;
    let closing = || {
        Upstream::script(|arrival| match arrival.nth {
            2 => Answer::refuse(),
            _ => Answer::ok(),
        })
    };
    let options = ["on-ambiguous: drop", "queue-workers: 1"];
    let rig = Rig::with(closing(), closing(), &options, |builder| builder);
    let mut client = rig.client();
    for number in 0..REQUESTS {
        let name = format!("app{number}");
        let answer = client.exchange(&Request::profile(&name, b"profile"));
        assert_eq!(answer.status(), 200, "{number}");
        rig.settled(number + 1);
    }
    assert_eq!(rig.settled(REQUESTS).sent.profiles, REQUESTS);
    for peer in [&rig.upstream, &rig.target] {
        let mut on_connection = BTreeMap::new();
        let mut served = peer.requests();
        served.retain(|request| {
            let nth = on_connection.entry(request.connection).or_insert(0);
            *nth += 1;
            *nth < 3
        });
        let names: BTreeSet<_> = served.iter().map(|request| request.head.query()).collect();
        assert_eq!(names.len(), 60);
        assert_eq!(served.len(), 60, "none is doubled");
    }
}
