//! `disable-local-writes`: profiles go to the targets alone.

use crate::support::{
    Answer, Builder, Count, Relay, Request, Response, Rig, SOON, Upstream, captures, client::noise,
};

fn builder(target: &Upstream, options: &[&str]) -> Builder {
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", target, options)
}

#[test]
fn a_profile_is_answered_with_an_empty_200() {
    // The Go SDK accepts only a 200 as a success.
    let target = Upstream::ok();
    let relay = builder(&target, &["tags: { env: x }"]).spawn();
    let chunked = Request::chunked("/ingest?name=b&from=1&until=2", &[b"pro", b"file"], &[]);
    for (index, request) in [Request::profile("a", b"profile"), chunked]
        .iter()
        .enumerate()
    {
        let answer = relay.send(request);
        assert_eq!(answer.head.start_line(), "HTTP/1.1 200 OK");
        assert_eq!(answer.head.fields().len(), 1, "{}", answer.head.text());
        assert_eq!(answer.head.get("content-length"), Some("0".to_owned()));
        assert_eq!(
            target.wait_for(index + 1, SOON)[index].body.data,
            b"profile"
        );
    }
    relay.wait_ledger("central", "two sent", |ledger| {
        ledger.sent == Count::new(2, 14)
    });
}

#[test]
fn captured_profiles_are_taken() {
    let target = Upstream::ok();
    let relay = builder(&target, &[]).spawn();
    let captures = captures::to("/ingest");
    for capture in &captures {
        let answer = crate::support::client::send_raw(relay.addr(), &capture.bytes);
        assert_eq!(answer.status(), 200, "{}", capture.file);
        assert!(answer.body.data.is_empty());
    }
    target.wait_for(captures.len(), SOON);
}

#[test]
fn an_empty_profile_is_taken() {
    let target = Upstream::ok();
    let relay = builder(&target, &[]).spawn();
    assert_eq!(relay.send(&Request::profile("app", b"")).status(), 200);
    assert_eq!(target.only().body.data, b"");
}

#[test]
fn a_name_nobody_would_take_is_a_400() {
    let target = Upstream::ok();
    let relay = builder(&target, &[]).spawn();
    for query in [
        "",
        "?name=",
        "?name=foo%20bar",
        "?name=app{foo=bar}{fiz=baz}",
        "?name=a{b-c=1}",
    ] {
        let answer = relay.send(&Request::post(&format!("/ingest{query}"), b"profile"));
        assert_eq!(answer.status(), 400, "{query}");
        assert_eq!(
            answer.head.get("content-type"),
            Some("application/json".to_owned())
        );
        assert_eq!(answer.json()["code"], "invalid_argument", "{query}");
        assert!(
            answer.json()["message"].as_str().unwrap().contains("name"),
            "{answer:?}"
        );
    }
    // A name that one generation of Pyroscope accepts is sent: the target decides.
    for query in ["?name=foo/bar", "?name=foo{a.b=1}"] {
        let answer = relay.send(&Request::post(&format!("/ingest{query}"), b"profile"));
        assert_eq!(answer.status(), 200, "{query}");
    }
    let ledger = relay.wait_ledger("central", "two sent", |ledger| ledger.sent.profiles == 2);
    assert_eq!(ledger.lost(), ledger.dropped("invalid_name"), "{ledger:?}");
    assert_eq!(target.arrivals().len(), 2);
}

#[test]
fn without_an_upstream_its_success_is_not_waited_for() {
    // Without an upstream the queues decide the response; there is no success to wait for.
    let target = Upstream::answering(Answer::never());
    let relay = builder(&target, &["queue-size: 1", "queue-workers: 1"])
        .yaml("tee: { on: upstream-success }")
        .spawn();
    let answers = [(); 2].map(|()| relay.send(&Request::profile("app", b"profile")).status());
    assert_eq!(answers, [200, 503]);
}

#[test]
fn a_profile_no_queue_took_is_a_503_that_asks_to_come_back() {
    // A 200 would be a lie.
    let target = Upstream::answering(Answer::never());
    let relay = builder(&target, &["queue-size: 1", "queue-workers: 1"]).spawn();
    let answers: Vec<Response> = (0..3)
        .map(|_| relay.send(&Request::profile("app", b"profile")))
        .collect();
    assert_eq!(answers[0].status(), 200);
    let last = &answers[2];
    assert_eq!(last.status(), 503);
    let wait = last
        .head
        .get("retry-after")
        .expect("a 503 says when to come back");
    assert!(
        wait.parse::<u32>().is_ok_and(|seconds| seconds > 0),
        "{wait}"
    );
    assert_eq!(last.json()["code"], "unavailable");
    assert!(relay.ledger("central").dropped("queue_full").profiles >= 1);
}

#[test]
fn one_queue_with_room_is_enough_for_a_200() {
    let (full, free) = (Upstream::answering(Answer::never()), Upstream::ok());
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("full", &full, &["queue-size: 1", "queue-workers: 1"])
        .target("free", &free, &[])
        .spawn();
    for _ in 0..5 {
        assert_eq!(
            relay.send(&Request::profile("app", b"profile")).status(),
            200
        );
    }
    free.wait_for(5, SOON);
    assert!(relay.ledger("full").dropped("queue_full").profiles >= 3);
}

#[test]
fn a_body_over_the_limit_of_the_tee_is_not_called_taken() {
    let target = Upstream::ok();
    let relay = builder(&target, &[])
        .yaml("tee: { max-body: 1MiB }")
        .spawn();
    let answer = relay.send(&Request::profile("app", &noise(2_000_000)));
    // A 503 would make clients retry.
    assert_eq!(answer.status(), 413, "{answer:?}");
    assert_eq!(answer.json()["code"], "invalid_argument");
    let ledger = relay.wait_ledger("central", "a drop", |ledger| ledger.lost().profiles == 1);
    assert_eq!(ledger.dropped("too_large").profiles, 1);
}

#[test]
fn everything_else_is_a_404_without_an_upstream() {
    let target = Upstream::ok();
    let relay = builder(&target, &[]).spawn();
    for request in [
        Request::get("/"),
        Request::get("/ingest?name=a"),
        Request::post("/x", b"y"),
    ] {
        assert_eq!(relay.send(&request).status(), 404, "{request:?}");
    }
    assert!(target.arrivals().is_empty());
}

#[test]
fn everything_else_goes_to_the_upstream_there_is() {
    let rig = Rig::with(
        Upstream::answering(Answer::status(200, b"page")),
        Upstream::ok(),
        &[],
        |builder| builder.remote_write("disable-local-writes: true"),
    );
    let answer = rig.send(&Request::profile("app", b"profile"));
    assert_eq!((answer.status(), answer.body.data.len()), (200, 0));
    rig.target.only();
    assert_eq!(rig.send(&Request::get("/render?x=1")).body.data, b"page");
    assert_eq!(rig.upstream.only().head.target(), "/render?x=1");
}

#[test]
fn without_remote_write_the_switch_means_nothing() {
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[], |builder| {
        builder
            .remote_write("enabled: false")
            .remote_write("disable-local-writes: true")
    });
    assert_eq!(rig.send(&Request::profile("app", b"profile")).status(), 200);
    assert_eq!(rig.upstream.only().body.data, b"profile");
    assert!(rig.target.arrivals().is_empty());
}
