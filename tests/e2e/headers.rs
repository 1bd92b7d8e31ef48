//! Header fields of requests and responses: which pass, which are removed, which are added.

use std::time::Duration;

use crate::support::{
    Answer, Client, Relay, Request, Rig, SOON, Upstream, client::send_raw, verbatim,
};

#[test]
fn the_head_of_a_request_keeps_case_and_order() {
    let rig = Rig::verbatim(Upstream::ok());
    let request = Request::post("/ingest?name=a", b"x")
        .field("zULU", "1")
        .field("HOST", "some.Host:1234")
        .field("Accept", "*/*")
        .field("x-lower", "b")
        .field("COOKIE", "a=b; c=d")
        .field("X-Twice", "first")
        .field("X-Twice", "second")
        .field("authorization", "Bearer secret")
        .field("X-Empty", "")
        .field("Alpha", "Ünïcode");
    assert_eq!(rig.send(&request).status(), 200);
    let arrived = rig.upstream.only();
    assert_eq!(
        arrived.head.text(),
        String::from_utf8(request.head()).unwrap()
    );
}

#[test]
fn order_survives_the_removal_of_a_hop_by_hop_field() {
    let rig = Rig::verbatim(Upstream::ok());
    let head = |connection: &str| {
        format!(
            "GET /x HTTP/1.1\r\nA: 1\r\n{connection}B: 2\r\nHost: h\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"
        )
    };
    send_raw(
        rig.relay.addr(),
        head("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n").as_bytes(),
    );
    assert_eq!(rig.upstream.only().head.text(), head(""));
}

#[test]
fn values_of_a_repeated_field_keep_their_order() {
    let rig = Rig::verbatim(Upstream::ok());
    let request = Request::get("/x")
        .field("Via", "a")
        .field("B", "x")
        .field("Via", "c");
    rig.send(&request);
    assert_eq!(rig.upstream.only().head.all("via"), ["a", "c"]);
}

#[test]
fn the_head_of_an_answer_is_what_the_upstream_sent() {
    let raw = b"HTTP/1.1 413 Request Entity Too Large\r\nzULU: 1\r\nServer-Timing: artificial_delay;dur=3\
        \r\nX-Content-Type-Options: nosniff\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nx-lower: y\r\n\
        Retry-After: 7\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let rig = Rig::verbatim(Upstream::answering(Answer::raw(raw)));
    let mut client = rig.client();
    for request in [Request::get("/x"), Request::profile("app", b"x")] {
        let answer = client.exchange(&request);
        let mut whole = answer.head.raw().to_vec();
        whole.extend_from_slice(&answer.body.raw);
        assert_eq!(
            String::from_utf8_lossy(&whole),
            String::from_utf8_lossy(raw)
        );
    }
}

#[test]
fn every_status_passes_and_no_redirect_is_followed() {
    for status in [
        200, 204, 301, 308, 400, 401, 403, 404, 405, 408, 418, 422, 429, 500, 503, 599,
    ] {
        let location = [("Location", "http://127.0.0.1:1/elsewhere")];
        let answer = match status {
            204 => Answer::raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
            _ => Answer::with(status, &location, b"words"),
        };
        let rig = Rig::verbatim(Upstream::answering(answer));
        let answer = rig.send(&Request::profile("app", b"x"));
        assert_eq!(answer.status(), status);
        let body: &[u8] = if status == 204 { b"" } else { b"words" };
        assert_eq!(answer.body.data, body, "{status}");
        assert_eq!(answer.head.has("location"), status != 204);
        assert_eq!(rig.upstream.requests().len(), 1);
        // The client gets every response of the upstream as it is; the profile is teed all the same.
        rig.target.only();
    }
}

#[test]
fn interim_answers_end_here() {
    // A difference from a direct connection, documented in `docs/transparency.md`: all but `100` and `101` are dropped.
    let hints = Answer::raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").and_then(
        Duration::ZERO,
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    );
    let rig = Rig::verbatim(Upstream::answering(hints));
    let answer = rig.send(&Request::get("/x"));
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body.data, b"body");
}

#[test]
fn forwarded_fields_are_appended_and_set() {
    let rig = Rig::new();
    rig.send(&Request::get("/one").field("X-Forwarded-For", "10.0.0.1"));
    rig.send(&Request::get("/two").field("Host", "profiles.example:4040"));
    let both = [
        ("X-Forwarded-Host", "first.example"),
        ("X-Forwarded-Proto", "https"),
    ];
    rig.send(
        &both
            .iter()
            .fold(Request::get("/three"), |r, (name, value)| {
                r.field(name, value)
            }),
    );
    let requests = rig.upstream.wait_for(3, SOON);
    let all = |nth: usize, name: &str| requests[nth].head.all(name).join(", ");
    assert_eq!(all(0, "x-forwarded-for"), "10.0.0.1, 127.0.0.1");
    assert_eq!(all(0, "x-forwarded-host"), "relay.example");
    assert_eq!(all(0, "x-forwarded-proto"), "http");
    assert_eq!(all(1, "x-forwarded-for"), "127.0.0.1");
    assert_eq!(all(1, "x-forwarded-host"), "profiles.example:4040");
    assert_eq!(all(2, "x-forwarded-host"), "first.example");
    assert_eq!(all(2, "x-forwarded-proto"), "https");
}

#[test]
fn hop_by_hop_fields_end_here_and_the_upstream_connection_stays() {
    let rig = Rig::verbatim(Upstream::ok());
    for _ in 0..3 {
        let request = Request::profile("app", b"x")
            .field("Connection", "close, X-Private")
            .field("X-Private", "1")
            .field("Keep-Alive", "timeout=5")
            .field("Proxy-Connection", "keep-alive")
            .field("Proxy-Authorization", "Basic eDp5")
            .field("TE", "trailers, deflate")
            .field("X-Kept", "yes");
        let mut client = rig.client();
        assert_eq!(client.exchange(&request).status(), 200);
        assert!(client.wire().closed(), "the client asked for a close");
    }
    for request in rig.upstream.wait_for(3, SOON) {
        for name in [
            "connection",
            "x-private",
            "keep-alive",
            "proxy-connection",
            "proxy-authorization",
            "te",
            "upgrade",
        ] {
            assert!(
                !request.head.has(name),
                "{name} was passed on:\n{}",
                request.head.text()
            );
        }
        assert!(request.head.has("x-kept"));
    }
    assert_eq!(rig.upstream.connections(), 1);
}

#[test]
fn hop_by_hop_fields_of_an_answer_end_here_and_the_client_connection_stays() {
    let fields = [
        ("Connection", "close, X-Private"),
        ("X-Private", "1"),
        ("Keep-Alive", "timeout=5"),
        ("X-Kept", "yes"),
    ];
    let rig = Rig::verbatim(Upstream::answering(
        Answer::with(200, &fields, b"body").close(),
    ));
    let mut client = rig.client();
    for _ in 0..3 {
        let answer = client.exchange(&Request::profile("app", b"x"));
        assert_eq!(answer.body.data, b"body");
        assert!(answer.head.has("x-kept"));
        for name in ["connection", "x-private", "keep-alive"] {
            assert!(
                !answer.head.has(name),
                "{name} was passed on:\n{}",
                answer.head.text()
            );
        }
    }
}

#[test]
fn the_host_is_kept_for_the_upstream_and_the_targets_own_for_the_target() {
    let rig = Rig::new();
    rig.send(&Request::profile("app", b"x").field("Host", "profiles.example"));
    assert_eq!(
        rig.upstream.only().head.get("host"),
        Some("profiles.example".to_owned())
    );
    assert_eq!(
        rig.target.only().head.get("host"),
        Some(rig.target.address().to_string())
    );
}

#[test]
fn addresses_of_ipv6_work_on_both_sides() {
    let upstream = Upstream::at("[::1]:0", |_| Answer::ok());
    let target = Upstream::at("[::1]:0", |_| Answer::ok());
    let rig = Rig::with(upstream, target, &[], |builder| builder);
    assert_eq!(rig.send(&Request::profile("app", b"x")).status(), 200);
    rig.upstream.only();
    assert_eq!(
        rig.target.only().head.get("host"),
        Some(rig.target.address().to_string())
    );
}

#[test]
fn a_path_prefix_of_a_target_stands_before_the_surface() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    for address in ["/prefix", "/prefix/", ""] {
        let relay = Relay::builder()
            .upstream(&upstream)
            .target_address("central", &format!("{}{address}", target.url()), &[])
            .spawn();
        relay.send(&Request::post("/base/ingest?name=app&from=1&until=2", b"x"));
        relay.wait_ledger("central", "a delivery", |ledger| ledger.sent.profiles == 1);
    }
    let paths: Vec<_> = target
        .requests()
        .iter()
        .map(|request| request.head.path())
        .collect();
    assert_eq!(paths, ["/prefix/ingest", "/prefix/ingest", "/ingest"]);
}

#[test]
fn a_client_of_http_1_0_gets_an_answer_it_can_read() {
    let chunked = Answer::chunked(&[b"first ", b"second"], &[]);
    let rig = Rig::with(Upstream::answering(chunked), Upstream::ok(), &[], verbatim);
    let mut client = Client::connect(rig.relay.addr());
    client.send(b"POST /ingest?name=a HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody");
    let answer = client.receive();
    assert_eq!(answer.status(), 200);
    assert!(
        !answer.head.has("transfer-encoding"),
        "{}",
        answer.head.text()
    );
    assert_eq!(answer.body.data, b"first second");
    assert!(client.wire().closed());
    let arrived = rig.upstream.only();
    assert!(
        arrived.head.start_line().ends_with(" HTTP/1.1"),
        "{}",
        arrived.head.text()
    );
    assert!(
        arrived.head.has("host"),
        "HTTP/1.1 needs one:\n{}",
        arrived.head.text()
    );
    assert_eq!(arrived.body.data, b"body");
    assert_eq!(rig.target.only().body.data, b"body");
}

#[test]
fn more_than_three_hops_are_relayed_and_not_teed() {
    let rig = Rig::new();
    for (hops, teed) in [("1", true), ("3", true), ("4", false), ("250", false)] {
        let before = rig.target.arrivals().len();
        let answer = rig.send(&Request::profile("app", b"x").field("Pyrotee-Hops", hops));
        assert_eq!(answer.status(), 200, "{hops}");
        rig.teed_before_now();
        let arrivals = rig.target.arrivals().split_off(before);
        let mut sent = arrivals
            .iter()
            .filter(|request| !request.head.query().contains("marker"));
        let next = sent
            .next()
            .and_then(|request| request.head.get("pyrotee-hops"));
        let expected = teed.then(|| (hops.parse::<u32>().unwrap() + 1).to_string());
        assert_eq!(next, expected, "after {hops} hops");
    }
}

#[test]
fn a_request_that_goes_round_is_answered_508() {
    let rig = Rig::new();
    let passed = |proxies: usize| {
        let chain = vec!["10.0.0.1"; proxies].join(", ");
        let profile = Request::profile("app", b"profile").field("X-Forwarded-For", &chain);
        rig.send(&profile)
    };
    assert_eq!(passed(15).status(), 200);
    let answer = passed(16);
    assert_eq!(answer.status(), 508);
    let text = String::from_utf8(answer.body.data).unwrap();
    assert!(text.contains("upstream.address"), "{text}");
    assert_eq!(rig.upstream.requests().len(), 1);
    let errors = rig.relay.metrics();
    assert_eq!(
        errors.sum("pyroscope_relay_upstream_errors_total", &[]),
        0.0
    );
}

#[test]
fn who_does_not_append_does_not_count_either() {
    let rig = Rig::verbatim(Upstream::ok());
    let chain = vec!["10.0.0.1"; 100].join(", ");
    let request = Request::get("/x").field("X-Forwarded-For", &chain);
    assert_eq!(rig.send(&request).status(), 200);
}
