//! Clients that retry because the local upstream failed: their retries are not teed a second time.

use std::{thread, time::Duration};

use bytes::Bytes;
use http_body_util::Full;

use crate::{
    push::{PATH, packed, push, small},
    support::{
        Answer, Arrival, Builder, Client, Count, Ledger, Relay, Request, Rig, SOON, Upstream,
        client::noise,
        eventually,
        h2::{self, GrpcAnswer, GrpcUpstream},
        message::frame,
        ports::Refusing,
    },
};

/// An upstream that gives `answer` to the first requests and a 200 to the rest.
pub(crate) fn failing(tries: usize, answer: Answer) -> Rig {
    let script = move |arrival: &Arrival<'_>| match arrival.index {
        index if index < tries => answer.clone(),
        _ => Answer::ok(),
    };
    Rig::with(Upstream::script(script), Upstream::ok(), &[], |b| b)
}

fn first_never() -> Upstream {
    Upstream::script(|arrival: &Arrival<'_>| match arrival.index {
        0 => Answer::never(),
        _ => Answer::ok(),
    })
}

pub(crate) fn unavailable() -> Answer {
    Answer::error(503, "unavailable", "empty ring")
}

/// Asserts that `sent` requests were sent to the target and `duplicates` were dropped as duplicates, each of `len`
/// bytes, and that the ledger counts nothing else.
fn check(ledger: &Ledger, sent: u64, duplicates: u64, len: usize) {
    let count = |profiles: u64| Count::new(profiles, usize::try_from(profiles).unwrap() * len);
    assert_eq!(ledger.sent, count(sent), "{ledger:?}");
    assert_eq!(ledger.dropped("duplicate"), count(duplicates), "{ledger:?}");
    assert_eq!(ledger.accepted, count(sent + duplicates), "{ledger:?}");
}

#[test]
fn a_profile_that_is_sent_again_after_a_503_reaches_the_target_once() {
    for body in [noise(0), noise(1_000), noise(60_000), noise(3_000_000)] {
        let rig = failing(1, unavailable());
        let request = Request::profile("app", &body);
        let statuses = [(); 2].map(|()| rig.send(&request).status());
        assert_eq!(statuses, [503, 200]);
        check(&rig.settled(2), 1, 1, body.len());
        assert!(rig.target.only().body.data == body);
        let arrived = rig.upstream.wait_for(2, SOON);
        assert!(arrived.iter().all(|request| request.body.data == body));
        let metrics = rig.relay.metrics();
        for (result, count) in [("accepted", 1.0), ("duplicate", 1.0)] {
            let labels = [("result", result)];
            let value = metrics.value("pyroscope_relay_tee_total", &labels);
            assert_eq!(value, Some(count), "{result}");
        }
    }
}

#[test]
fn a_profile_that_is_tried_eight_times_reaches_the_target_once() {
    // The Java agent gives up after eight tries.
    let rig = failing(7, unavailable());
    let mut client = rig.client();
    let statuses: Vec<_> = (0..8)
        .map(|_| {
            client
                .exchange(&Request::profile("app", b"profile"))
                .status()
        })
        .collect();
    assert_eq!(statuses, [503, 503, 503, 503, 503, 503, 503, 200]);
    check(&rig.settled(8), 1, 7, 7);
}

#[test]
fn a_repetition_that_is_chunked_otherwise_is_the_same_profile() {
    let rig = failing(2, unavailable());
    let target = "/ingest?name=app&from=1&until=2";
    let requests = [
        Request::post(target, b"a profile"),
        Request::chunked(target, &[b"a ", b"profile"], &[]),
        Request::chunked(target, &[b"a pro", b"fi", b"le"], &[]),
    ];
    let statuses = requests.map(|request| rig.send(&request).status());
    assert_eq!(statuses, [503, 503, 200]);
    check(&rig.settled(3), 1, 2, 9);
}

#[test]
fn an_upstream_that_never_answered_properly_is_a_failure_like_any_other() {
    let failures = [
        (Answer::hang_up(), 502),
        (Answer::raw(b"").reset(), 502),
        (Answer::raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").close(), 502),
        (Answer::status(301, b""), 301),
        (Answer::error(429, "resource_exhausted", "slow down"), 429),
    ];
    for (failure, status) in failures {
        let rig = failing(1, failure);
        let statuses = [(); 2].map(|()| rig.send(&Request::profile("app", b"profile")).status());
        assert_eq!(statuses, [status, 200]);
        check(&rig.settled(2), 1, 1, 7);
    }
}

#[test]
fn an_upstream_that_refuses_or_hangs_is_one_too() {
    let refusing = Refusing::new();
    let hanging = Upstream::answering(Answer::never());
    for (url, status) in [(refusing.url(), 502), (hanging.url(), 504)] {
        let target = Upstream::ok();
        let relay = Relay::builder()
            .upstream_address(&url)
            .upstream_option("timeout: 300ms")
            .target("central", &target, &[])
            .spawn();
        let bodies = [noise(1_000), noise(500_000)];
        let tries = bodies.iter().flat_map(|body| [body; 3]);
        for (number, body) in (1..).zip(tries) {
            assert_eq!(relay.send(&Request::profile("app", body)).status(), status);
            // The response may come before the relay has read the whole body; the relay compares a request once its
            // body is whole.
            relay.wait_ledger("central", "the whole body", |ledger| {
                ledger.accepted.profiles == number
            });
        }
        let ledger = relay.wait_ledger("central", "all settled", |ledger| {
            ledger.pending.profiles == 0
        });
        assert_eq!(ledger.sent, Count::new(2, 501_000), "{ledger:?}");
        assert_eq!(ledger.dropped("duplicate"), Count::new(4, 1_002_000));
    }
}

#[test]
fn an_early_refusal_is_one_too_once_the_body_was_read_on() {
    let refusal = unavailable();
    let rig = failing(1, refusal.unread().linger());
    let request = Request::profile("app", &noise(400_000));
    assert_eq!(rig.send(&request).status(), 503);
    rig.settled(1);
    assert_eq!(rig.send(&request).status(), 200);
    check(&rig.settled(2), 1, 1, 400_000);
}

#[test]
fn a_client_that_lost_its_patience_and_comes_again_does_not_double() {
    for len in [1_000, 300_000] {
        let rig = Rig::with(first_never(), Upstream::ok(), &[], |b| {
            b.yaml("log: { level: debug }")
        });
        let request = Request::profile("app", &noise(len));
        let mut impatient = rig.client();
        impatient.send(&request.bytes());
        rig.settled(1);
        drop(impatient);
        // A client that is gone looks like a client that has closed its side only. Wait until the relay has seen the
        // close.
        eventually(SOON, "the client's end", || {
            rig.relay.output().contains("client closed its side")
        });
        assert_eq!(rig.send(&request).status(), 200);
        check(&rig.settled(2), 1, 1, len);
    }
}

#[test]
fn another_profile_is_no_repetition() {
    let rig = failing(9, unavailable());
    for request in [
        Request::profile("app", b"profile"),
        Request::profile("app", b"Profile"),
        Request::profile("app", b"profile and more"),
        Request::profile("other", b"profile"),
        Request::post(PATH, b"profile").field("Content-Type", "application/proto"),
    ] {
        assert_eq!(rig.send(&request).status(), 503);
    }
    let ledger = rig.settled(5);
    assert_eq!(ledger.dropped("duplicate"), Count::default(), "{ledger:?}");
}

#[test]
fn a_profile_that_was_taken_may_come_again() {
    // Identical profiles are rare and legitimate: only a request that failed can have a retry.
    let rig = failing(0, unavailable());
    for _ in 0..2 {
        assert_eq!(rig.send(&Request::profile("app", b"profile")).status(), 200);
    }
    check(&rig.settled(2), 2, 0, 7);

    let rig = failing(1, unavailable());
    let statuses = [(); 3].map(|()| rig.send(&Request::profile("app", b"profile")).status());
    assert_eq!(statuses, [503, 200, 200]);
    check(&rig.settled(3), 2, 1, 7);
}

#[test]
fn what_no_queue_took_is_teed_when_it_comes_again() {
    let target = Upstream::answering(Answer::never());
    let rig = Rig::with(
        Upstream::answering(unavailable()),
        target,
        &["queue-size: 1", "queue-workers: 1"],
        |builder| builder,
    );
    rig.send(&Request::profile("first", b"profile"));
    for _ in 0..2 {
        rig.send(&Request::profile("second", b"profile"));
    }
    let ledger = rig.relay.ledger("central");
    assert_eq!(ledger.dropped("queue_full").profiles, 2, "{ledger:?}");
    assert_eq!(ledger.dropped("duplicate"), Count::default());
}

#[test]
fn pushes_are_repeated_like_other_profiles() {
    let rig = failing(1, Answer::error(503, "unavailable", "empty ring"));
    let request = packed(&small());
    let statuses = [(); 2].map(|()| rig.send(&request).status());
    assert_eq!(statuses, [503, 200]);
    // The query is empty for all of them: the body alone tells them apart.
    assert_eq!(rig.send(&push(&small())).status(), 200);
    let ledger = rig.settled(3);
    assert_eq!(ledger.sent.profiles, 2, "{ledger:?}");
    assert_eq!(ledger.dropped("duplicate").profiles, 1, "{ledger:?}");
}

#[test]
fn a_grpc_call_that_was_refused_in_its_trailers_is_repeated() {
    let upstream = GrpcUpstream::script(|call| match call {
        0 => refused(&[("grpc-status", "14")]),
        _ => refused(&[("grpc-status", "0")]),
    });
    let target = Upstream::ok();
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .target("central", &target, &[])
        .spawn();
    let body = frame(false, &small());
    for (status, teed) in [("14", 1), ("0", 1), ("0", 2)] {
        let request = hyper::Request::post(format!("http://{}{PATH}", relay.addr()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body.clone())))
            .unwrap();
        let answer = h2::send(relay.addr(), request);
        assert_eq!(answer.trailers["grpc-status"], status);
        relay.wait_ledger("central", "sent", |ledger| ledger.sent.profiles == teed);
    }
    let ledger = relay.ledger("central");
    assert_eq!(ledger.dropped("duplicate").profiles, 1, "{ledger:?}");
}

fn refused(trailers: &'static [(&'static str, &'static str)]) -> GrpcAnswer {
    GrpcAnswer::Call {
        head: &[],
        body: Vec::new(),
        trailers,
    }
}

#[test]
fn repetitions_are_teed_if_so_asked() {
    let asked: [fn(Builder) -> Builder; 2] = [
        |builder| builder.yaml("tee: { duplicates: tee }"),
        |builder| builder.env("PYROTEE__TEE__DUPLICATES", "tee"),
    ];
    for build in asked {
        let rig = Rig::with(
            Upstream::answering(unavailable()),
            Upstream::ok(),
            &[],
            build,
        );
        for _ in 0..3 {
            assert_eq!(rig.send(&Request::profile("app", b"profile")).status(), 503);
        }
        check(&rig.settled(3), 3, 0, 7);
    }
}

#[test]
fn without_local_writes_nothing_is_a_repetition() {
    // Without an upstream a failure means that no queue took the profile.
    let target = Upstream::script(|arrival| match arrival.index {
        0 => Answer::ok().after(Duration::from_millis(500)),
        _ => Answer::ok(),
    });
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &["queue-size: 1", "queue-workers: 1"])
        .spawn();
    let request = Request::profile("app", b"profile");
    assert_eq!(relay.send(&request).status(), 200);
    assert_eq!(relay.send(&request).status(), 503);
    relay.wait_ledger("central", "room", |ledger| ledger.pending.profiles == 0);
    assert_eq!(relay.send(&request).status(), 200);
    let ledger = relay.wait_ledger("central", "two sent", |ledger| ledger.sent.profiles == 2);
    assert_eq!(ledger.dropped("duplicate"), Count::default(), "{ledger:?}");
}

#[test]
fn where_only_successes_are_teed_nothing_is_a_repetition() {
    let script = |arrival: &Arrival<'_>| match arrival.index {
        0 => unavailable(),
        _ => Answer::ok(),
    };
    let rig = Rig::with(Upstream::script(script), Upstream::ok(), &[], |builder| {
        builder.yaml("tee: { on: upstream-success, duplicates: drop }")
    });
    let statuses = [(); 2].map(|()| rig.send(&Request::profile("app", b"profile")).status());
    assert_eq!(statuses, [503, 200]);
    check(&rig.settled(1), 1, 0, 7);
}

#[test]
fn an_upstream_that_hangs_costs_no_profile_its_place_in_memory() {
    // Nothing but the queue may hold a body while the upstream has not responded.
    let rig = Rig::with(
        Upstream::answering(Answer::never()),
        Upstream::ok(),
        &["queue-bytes: 24MiB"],
        |builder| builder.yaml("memory-limit: 24MiB"),
    );
    let address = rig.relay.addr();
    let mut waiting = Vec::new();
    for round in 0..5 {
        let clients = (0..20).map(|client| {
            thread::spawn(move || {
                let app = format!("app{round}x{client}");
                let mut client = Client::connect(address);
                client.send(&Request::profile(&app, &noise(500_000)).bytes());
                client
            })
        });
        let clients: Vec<_> = clients.collect();
        waiting.extend(clients.into_iter().map(|client| client.join().unwrap()));
        check(&rig.settled(20 * (round + 1)), 20 * (round + 1), 0, 500_000);
    }
    drop(waiting);
}
