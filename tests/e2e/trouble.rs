//! An upstream that is gone, slow, early or broken: the client's response, and the profiles that are teed all the same.

use std::{
    io::{ErrorKind, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt;

use crate::support::{
    Answer, Client, Count, Relay, Request, Rig, SOON, Upstream, client::noise, eventually,
    ports::Refusing,
};

#[test]
fn thirty_of_thirty_early_refusals_of_a_profile_reach_the_client() {
    let rig = thirty_refused("/ingest?name=app&from=1&until=2");
    // The rest of each body was read for the tee, whatever happened to the profile in the queue.
    let ledger = rig.settled(30);
    assert_eq!(
        ledger.accepted,
        Count::new(30, 30 * 3_000_000),
        "{ledger:?}"
    );
}

#[test]
fn thirty_of_thirty_early_refusals_of_another_upload_reach_the_client() {
    thirty_refused("/upload");
}

/// An upstream that responds before the body and then closes, like Go's `MaxBytesReader`.
fn thirty_refused(path: &str) -> Rig {
    let refusal = Answer::error(413, "invalid_argument", "request body too large");
    let rig = Rig::with(
        Upstream::answering(refusal.unread().linger()),
        Upstream::ok(),
        &["queue-bytes: 128MiB"],
        |builder| builder,
    );
    let request = Request::post(path, &noise(3_000_000)).bytes();
    let statuses: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..30)
            .map(|_| {
                let (address, request) = (rig.relay.addr(), &request);
                scope.spawn(move || {
                    let answer = Client::connect(address).send(request).try_receive("POST");
                    answer.map(|answer| (answer.status(), answer.body.complete))
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert_eq!(statuses, [Some((413, true)); 30]);
    rig
}

#[test]
fn an_early_answer_that_keeps_the_connection_reaches_the_client_before_its_body_ends() {
    let refusal = Answer::error(401, "unauthenticated", "no org id");
    let rig = Rig::with(
        Upstream::answering(refusal.early()),
        Upstream::ok(),
        &[],
        |b| b,
    );
    let mut client = rig.client();
    let request = Request::profile("app", b"a late body");
    client.send(&request.head()).send(b"a late ");
    assert_eq!(client.receive().status(), 401);
    client.send(b"body");
    assert_eq!(rig.target.only().body.data, b"a late body");
}

/// A relay whose upstream refuses connections, with one target.
fn without_upstream() -> (Refusing, Upstream, Relay) {
    let (refusing, target) = (Refusing::new(), Upstream::ok());
    let relay = Relay::builder()
        .upstream_address(&refusing.url())
        .target("central", &target, &[])
        .spawn();
    (refusing, target, relay)
}

#[test]
fn an_upstream_that_refuses_is_a_502_and_the_profile_is_teed_whole() {
    let (_refusing, target, relay) = without_upstream();
    let body = noise(3_000_000);
    let pieces: Vec<_> = body.chunks(100_000).collect();
    let chunked = Request::chunked("/ingest?name=app&from=1&until=2", &pieces, &[]);
    for (index, request) in [Request::profile("app", &body), chunked].iter().enumerate() {
        let answer = relay.send(request);
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.json()["code"], "unavailable");
        assert_eq!(
            answer.head.get("content-type"),
            Some("application/json".to_owned())
        );
        assert!(target.wait_for(index + 1, SOON)[index].body.data == body);
    }
    let answer = relay.send(&Request::get("/render"));
    assert_eq!(
        (answer.status(), answer.json()["code"].as_str()),
        (502, Some("unavailable"))
    );
}

#[test]
fn a_502_waits_for_the_whole_profile_because_some_clients_stop_sending_at_an_error() {
    let (_refusing, target, relay) = without_upstream();
    let body = noise(200_000);
    let pieces: Vec<_> = body.chunks(50_000).collect();
    let chunked = Request::chunked("/ingest?name=app&from=1&until=2", &pieces, &[]);
    for (index, request) in [Request::profile("app", &body), chunked].iter().enumerate() {
        let bytes = request.bytes();
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        let mut client = Client::connect(relay.addr());
        client.send(first);
        let stream = client.wire().stream();
        let limit = |limit| stream.set_read_timeout(Some(limit)).expect("it has one");
        limit(Duration::from_millis(300));
        let early = stream.peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(early, Err(ErrorKind::WouldBlock), "no response yet");
        limit(SOON);
        client.send(rest);
        assert_eq!(client.receive().status(), 502);
        let teed = target.wait_for(index + 1, SOON);
        assert_eq!(teed.len(), index + 1, "each once");
        assert!(teed[index].body.data == body);
    }
    // Other requests are answered at once.
    let upload = Request::post("/upload", &body);
    let mut client = Client::connect(relay.addr());
    client.send(&upload.head()).send(&body[..100_000]);
    assert_eq!(client.receive().status(), 502);
}

#[test]
fn an_upstream_that_hangs_up_is_a_502_and_the_profile_is_teed() {
    for answer in [
        Answer::hang_up(),
        Answer::raw(b"").reset(),
        Answer::raw(b"").unread().close(),
    ] {
        let rig = Rig::with(
            Upstream::answering(answer),
            Upstream::ok(),
            &[],
            |builder| builder,
        );
        let answer = rig.send(&Request::profile("app", b"profile"));
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.json()["code"], "unavailable");
        assert_eq!(rig.target.only().body.data, b"profile");
        // On a new connection there is no reason to retry.
        assert_eq!(rig.upstream.arrivals().len(), 1);
    }
}

#[test]
fn an_answer_that_is_no_http_is_a_502() {
    let rig = Rig::with(
        Upstream::answering(Answer::raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").close()),
        Upstream::ok(),
        &[],
        |builder| builder,
    );
    assert_eq!(rig.send(&Request::profile("app", b"profile")).status(), 502);
    assert_eq!(rig.target.only().body.data, b"profile");
}

#[test]
fn an_upstream_that_never_answers_is_a_504_and_the_profile_is_teed() {
    let rig = Rig::with(
        Upstream::answering(Answer::never()),
        Upstream::ok(),
        &[],
        |builder| builder.upstream_option("timeout: 500ms"),
    );
    let started = Instant::now();
    let answer = rig.send(&Request::profile("app", b"profile"));
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.json()["code"], "deadline_exceeded");
    assert!(
        started.elapsed() >= Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(rig.target.only().body.data, b"profile");
}

#[test]
fn the_time_an_upload_takes_is_not_the_upstreams_fault() {
    // `upstream.timeout` starts at the end of the body.
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[], |builder| {
        builder.upstream_option("timeout: 500ms")
    });
    let mut client = rig.client();
    client.send(&Request::profile("app", &[b'x'; 8]).head());
    for byte in b"xxxxxxxx" {
        thread::sleep(Duration::from_millis(150));
        client.send(&[*byte]);
    }
    assert_eq!(client.receive().status(), 200);
}

#[test]
fn an_answer_cut_off_in_the_middle_is_cut_off_for_the_client() {
    // The client must not take a truncated body for a whole one.
    let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this".as_slice();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".as_slice();
    for raw in [sized, chunked] {
        let rig = Rig::verbatim(Upstream::answering(Answer::raw(raw).close()));
        let answer = rig.send(&Request::get("/render"));
        assert_eq!(answer.status(), 200);
        assert!(!answer.body.complete, "{answer:?}");
    }
}

#[test]
fn an_upstream_that_closes_after_each_answer_is_no_reason_for_an_error() {
    // The response does not announce the close, so every request may meet a connection that is being closed.
    let rig = Rig::with(
        Upstream::answering(Answer::ok().close()),
        Upstream::ok(),
        &[],
        |b| b,
    );
    let mut client = rig.client();
    for _ in 0..30 {
        assert_eq!(
            client
                .exchange(&Request::profile("app", b"profile"))
                .status(),
            200
        );
    }
    assert_eq!(rig.settled(30).sent.profiles, 30);
    assert_eq!(rig.upstream.requests().len(), 30);
}

#[test]
fn a_profile_on_a_stale_connection_is_sent_once_more() {
    // The upstream closed while the request was in flight, and the upstream's kernel refuses the request.
    for length in [10, 1000, 60_000] {
        let rig = closing_on_reuse();
        let mut client = rig.client();
        for _ in 0..2 {
            let answer = client.exchange(&Request::profile("app", &noise(length)));
            assert_eq!(answer.status(), 200, "{length} bytes");
        }
        let bodies = rig.upstream.bodies();
        assert!(bodies == [noise(length), noise(length)], "{length} bytes");
        assert_eq!(rig.settled(2).sent.profiles, 2);
    }
}

#[test]
fn a_profile_too_large_to_be_sent_once_more_is_teed_and_answered() {
    // The relay does not hold the whole body, so a 502 is right on a stale connection; a hang is not.
    let rig = closing_on_reuse();
    let mut client = rig.client();
    assert_eq!(
        client.exchange(&Request::profile("app", b"first")).status(),
        200
    );
    let body = noise(2_000_000);
    let answer = client.exchange(&Request::profile("app", &body));
    assert!(matches!(answer.status(), 200 | 502), "{answer:?}");
    assert_eq!(rig.settled(2).sent, Count::new(2, 5 + body.len()));
    assert!(rig.upstream.requests().len() <= 2);
}

/// An upstream that serves one request on each connection, and closes while the next request is in flight.
fn closing_on_reuse() -> Rig {
    let upstream = Upstream::script(|arrival| match arrival.nth {
        0 => Answer::ok(),
        _ => Answer::refuse().unread(),
    });
    Rig::with(upstream, Upstream::ok(), &[], |builder| builder)
}

#[test]
fn a_client_that_leaves_takes_nothing_of_the_tee_with_it() {
    let upstream = Upstream::answering(Answer::ok().after(Duration::from_millis(300)));
    let rig = Rig::with(upstream, Upstream::ok(), &[], |builder| builder);
    let mut client = rig.client();
    client.send(&Request::profile("app", b"profile").bytes());
    rig.upstream.wait_for(1, SOON);
    drop(client);
    assert_eq!(rig.target.only().body.data, b"profile");
}

#[test]
fn whole_profiles_of_clients_that_leave_at_once_reach_upstream_and_target() {
    // A client that ends with data unread, such as session tickets of TLS, resets its connection.
    for resets in [false, true] {
        let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[], |builder| builder);
        let clients = 30;
        for number in 0..clients {
            let mut stream = TcpStream::connect(rig.relay.addr()).expect("the relay listens");
            let profile = Request::profile(&format!("app{number}"), b"profile").bytes();
            stream.write_all(&profile).expect("the relay reads");
            thread::sleep(Duration::from_millis(number % 3));
            let linger = resets.then_some(Duration::ZERO);
            sockopt::set_socket_linger(&stream, linger).expect("a socket takes it");
        }
        for stand_in in [&rig.upstream, &rig.target] {
            stand_in.wait_for(usize::try_from(clients).expect("it is small"), SOON);
        }
    }
}

#[test]
fn targets_in_trouble_are_nothing_the_client_notices() {
    let upstream = Upstream::ok();
    let refusing = Refusing::new();
    let hanging = Upstream::answering(Answer::never());
    let deaf = Upstream::answering(Answer::deaf());
    let lying = Upstream::answering(Answer::raw(b"HTTP/9.9 what\r\n\r\n"));
    let healthy = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("refusing", &refusing.url(), &["queue-size: 5"])
        .target("hanging", &hanging, &["queue-size: 5", "queue-workers: 2"])
        .target("deaf", &deaf, &["queue-size: 5", "queue-workers: 2"])
        .target("lying", &lying, &["queue-size: 5"])
        .target("healthy", &healthy, &[])
        .spawn();
    let mut client = Client::connect(relay.addr());
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(
            client
                .exchange(&Request::profile("app", &noise(20_000)))
                .status(),
            200
        );
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?} for 50",
        started.elapsed()
    );
    healthy.wait_for(50, SOON);
    relay.wait_ledger("healthy", "all sent", |ledger| ledger.sent.profiles == 50);
    for name in ["refusing", "hanging", "deaf", "lying"] {
        let ledger = relay.ledger(name);
        assert_eq!(ledger.accepted, Count::new(50, 50 * 20_000), "{name}");
        assert_eq!(ledger.sent.profiles, 0, "{name}");
    }
    eventually(SOON, "drops of a full queue", || {
        relay.ledger("hanging").dropped("queue_full").profiles >= 40
    });
}
