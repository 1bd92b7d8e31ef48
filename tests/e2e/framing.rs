//! Bodies of requests and responses: framing, trailers, ends and sizes.

use std::time::{Duration, Instant};

use crate::support::{
    Answer, Client, Count, End, Framing, Request, Rig, SOON, Upstream, client::noise, verbatim,
};

const PATH: &str = "/ingest?name=app&from=1795397490&until=1795397500";

#[test]
fn a_chunked_upload_is_streamed_to_the_upstream_and_sized_for_the_target() {
    // As the Java agent sends it.
    let rig = Rig::new();
    let pieces: [&[u8]; 3] = [b"--b\r\n\r\none", &noise(100_000), b"\r\n--b--\r\n"];
    let whole = pieces.concat();
    let request = Request::chunked(PATH, &pieces, &[])
        .field("Content-Type", "multipart/form-data; boundary=b");
    assert_eq!(rig.send(&request).status(), 200);
    assert_eq!(rig.upstream.only().body.data, whole);
    let teed = rig.target.only();
    assert_eq!(teed.body.data, whole);
    assert_eq!(
        teed.head.get("content-length"),
        Some(whole.len().to_string())
    );
    assert!(!teed.head.has("transfer-encoding"));
    assert_eq!(rig.settled(1).sent, Count::new(1, whole.len()));
}

#[test]
fn the_upstream_gets_each_chunk_before_the_next_one_is_sent() {
    let rig = Rig::new();
    let mut client = rig.client();
    let request = Request::chunked(PATH, &[], &[]);
    client.send(&request.head()).send(b"5\r\nfirst\r\n");
    // The relay must send the head on before the end of a body, which may be a gigabyte long.
    rig.upstream
        .wait_until(SOON, "a head", |requests| requests.len() == 1);
    client.send(b"4\r\nlast\r\n0\r\n\r\n");
    assert_eq!(client.receive().status(), 200);
    assert_eq!(rig.upstream.only().body.data, b"firstlast");
}

#[test]
fn a_chunked_answer_reaches_the_client_piece_by_piece() {
    let pause = Duration::from_millis(700);
    let answer =
        Answer::raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .and_then(pause, b"6\r\nsecond\r\n0\r\n\r\n");
    let rig = Rig::verbatim(Upstream::answering(answer));
    let mut client = rig.client();
    let started = Instant::now();
    client.send(&Request::get("/render").bytes());
    let head = client.wire().head().unwrap().unwrap();
    let mut first = Vec::new();
    while first.len() < 10 {
        first.extend(client.wire().some(10 - first.len()).unwrap());
    }
    assert_eq!(first, b"5\r\nfirst\r\n");
    assert!(
        started.elapsed() < pause,
        "the first piece waited for the second"
    );
    assert!(
        head.has("transfer-encoding") && !head.has("content-length"),
        "{}",
        head.text()
    );
    let rest = client.wire().body(Framing::Chunked);
    assert_eq!(
        (rest.data.as_slice(), rest.complete),
        (b"second".as_slice(), true)
    );
}

#[test]
fn declared_trailers_pass_in_both_directions() {
    let upstream = Upstream::answering(Answer::chunked(&[b"answer"], &[("X-Sum", "42")]));
    let rig = Rig::with(upstream, Upstream::ok(), &[], verbatim);
    let request = Request::chunked("/upload", &[b"body"], &[("X-Digest", "abc")])
        .field("TE", "trailers")
        .field("Connection", "TE");
    let answer = rig.send(&request);
    let arrived = rig.upstream.only();
    assert_eq!(arrived.body.data, b"body");
    assert_eq!(
        arrived.head.get("trailer").map(|t| t.to_lowercase()),
        Some("x-digest".to_owned())
    );
    assert_eq!(
        lower(&arrived.body.trailers),
        [("x-digest".to_owned(), "abc".to_owned())]
    );
    assert_eq!(answer.body.data, b"answer");
    assert_eq!(
        lower(&answer.body.trailers),
        [("x-sum".to_owned(), "42".to_owned())]
    );
}

#[test]
fn trailers_that_nobody_declared_are_lost_and_the_body_is_not() {
    // A difference from a direct connection, documented in `docs/transparency.md`.
    let rig = Rig::verbatim(Upstream::ok());
    let mut client = rig.client();
    client.send(&Request::chunked("/upload", &[], &[]).head());
    client.send(b"4\r\nbody\r\n0\r\nX-Undeclared: 1\r\n\r\n");
    assert_eq!(client.receive().status(), 200);
    let arrived = rig.upstream.only();
    assert_eq!(arrived.body.data, b"body");
    assert!(
        arrived.body.trailers.is_empty(),
        "{:?}",
        arrived.body.trailers
    );
}

#[test]
fn a_teed_upload_with_trailers_is_complete() {
    let rig = Rig::new();
    let request = Request::chunked(PATH, &[b"body"], &[("X-Digest", "abc")]);
    assert_eq!(rig.send(&request).status(), 200);
    assert_eq!(rig.target.only().body.data, b"body");
}

/// The names of trailers may lose their case: the parser keeps it for heads only.
fn lower(trailers: &[(String, String)]) -> Vec<(String, String)> {
    trailers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .collect()
}

#[test]
fn a_body_that_is_cut_off_is_no_profile() {
    let sized = Request::post(PATH, &[1; 1000]);
    let chunked = Request::chunked(PATH, &[&[1; 500], &[2; 500]], &[]);
    for (what, request) in [("short of its length", sized), ("inside a chunk", chunked)] {
        for half_close in [false, true] {
            let rig = Rig::new();
            let bytes = request.bytes();
            let mut client = rig.client();
            client.send(&bytes[..bytes.len() - 300]);
            rig.upstream
                .wait_until(SOON, "a head", |requests| requests.len() == 1);
            if half_close {
                client.wire().finish().unwrap();
            } else {
                drop(client);
            }
            rig.upstream
                .wait_until(SOON, &format!("an abort {what}"), |requests| {
                    requests[0].end == End::Aborted
                });
            assert_eq!(rig.relay.ledger("central").accepted, Count::default());
            assert!(rig.teed_before_now().is_empty(), "{what}");
            assert_eq!(rig.settled(1).accepted.profiles, 1, "the marker alone");
        }
    }
}

#[test]
fn a_broken_chunk_is_no_profile() {
    let rig = Rig::new();
    let mut client = rig.client();
    client
        .send(&Request::chunked(PATH, &[], &[]).head())
        .send(b"5\r\nfirst\r\nzz\r\n");
    let answer = client.try_receive("POST");
    assert!(
        answer.as_ref().is_none_or(|answer| answer.status() >= 400),
        "{answer:?}"
    );
    assert!(rig.teed_before_now().is_empty());
    let whole = rig.upstream.requests();
    assert_eq!(whole.len(), 1, "only the marker came whole: {whole:?}");
}

#[test]
fn empty_bodies_are_forwarded_and_teed() {
    // Each server decides what an empty profile is worth.
    let bare = Request::new("POST", PATH);
    let chunked = Request::chunked(PATH, &[], &[]);
    for request in [Request::post(PATH, b""), bare, chunked] {
        let rig = Rig::new();
        let answer = rig.send(&request);
        assert_eq!(answer.status(), 200);
        let arrived = rig.upstream.only();
        assert!(arrived.body.data.is_empty());
        assert!(rig.target.only().body.data.is_empty());
        assert_eq!(rig.settled(1).sent, Count::new(1, 0));
    }
}

#[test]
fn a_large_profile_passes() {
    let rig = Rig::new();
    let body = noise(5_600_000);
    let name = format!("app%7Bstack%3D{}%7D", "v".repeat(1300));
    assert_eq!(rig.send(&Request::profile(&name, &body)).status(), 200);
    assert!(rig.upstream.only().body.data == body);
    assert!(rig.target.only().body.data == body);
    assert_eq!(rig.settled(1).sent, Count::new(1, body.len()));
}

#[test]
fn a_body_over_the_limit_of_the_tee_reaches_the_upstream_alone() {
    // Never a 413 of the relay's own.
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[], |builder| {
        builder.yaml("tee: { max-body: 1MiB }")
    });
    let body = noise(3_000_000);
    let half = body.len() / 2;
    let (first, second) = body.split_at(half);
    for request in [
        Request::profile("app", &body),
        Request::chunked(PATH, &[first, second], &[]),
    ] {
        assert_eq!(rig.send(&request).status(), 200);
    }
    assert!(
        rig.upstream
            .wait_for(2, SOON)
            .iter()
            .all(|request| request.body.data == body)
    );
    let ledger = rig.settled(2);
    assert_eq!(ledger.dropped("too_large").profiles, 2, "{ledger:?}");
    assert!(rig.target.arrivals().is_empty());
}

#[test]
fn an_upload_that_is_no_profile_is_never_held_in_memory() {
    let upstream = Upstream::answering(Answer::ok().slowly(1 << 20, Duration::from_millis(1)));
    let rig = Rig::verbatim(upstream);
    let body = noise(64 << 20);
    let mut client = Client::patient(rig.relay.addr(), Duration::from_secs(40));
    assert_eq!(
        client.exchange(&Request::post("/upload", &body)).status(),
        200
    );
    assert!(rig.upstream.only().body.data == body);
    let peak = rig.relay.rss_peak();
    assert!(
        peak < 48 << 20,
        "{peak} bytes were resident for 64 MiB passed on"
    );
}

#[test]
fn a_profile_the_budget_has_no_room_for_reaches_the_upstream_alone() {
    let rig = Rig::with(
        Upstream::ok(),
        Upstream::ok(),
        &["queue-bytes: 2MiB"],
        |builder| builder.yaml("memory-limit: 4MiB"),
    );
    let body = noise(20 << 20);
    assert_eq!(rig.send(&Request::profile("app", &body)).status(), 200);
    assert!(rig.upstream.only().body.data == body);
    let ledger = rig.settled(1);
    assert_eq!(ledger.lost().profiles, 1, "{ledger:?}");
    assert!(rig.target.arrivals().is_empty());
    // The memory that was reserved for the lost profile is given back.
    assert_eq!(
        rig.send(&Request::profile("app", &noise(100_000))).status(),
        200
    );
    assert_eq!(rig.target.only().body.data, noise(100_000));
}

#[test]
fn a_client_that_expects_100_continue_need_not_wait() {
    let rig = Rig::new();
    let mut client = rig.client();
    let started = Instant::now();
    client.send(
        &Request::post(PATH, b"profile")
            .field("Expect", "100-continue")
            .head(),
    );
    let interim = client.wire().head().unwrap().expect("an interim answer");
    assert_eq!(interim.status(), 100);
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    client.send(b"profile");
    assert_eq!(client.receive().status(), 200);
    let arrived = rig.upstream.only();
    assert!(arrived.head.all("expect").len() <= 1);
    assert_eq!(arrived.body.data, b"profile");
    let teed = rig.target.only();
    assert!(!teed.head.has("expect"), "{}", teed.head.text());
    assert_eq!(teed.body.data, b"profile");
}

#[test]
fn a_client_that_sends_without_waiting_for_the_100_is_served() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.send(
        &Request::post(PATH, b"profile")
            .field("Expect", "100-continue")
            .bytes(),
    );
    let mut head = client.wire().head().unwrap().expect("an answer");
    if head.status() == 100 {
        head = client.wire().head().unwrap().expect("a final answer");
    }
    assert_eq!(head.status(), 200);
    assert_eq!(rig.upstream.only().body.data, b"profile");
}
