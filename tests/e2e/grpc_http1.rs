//! gRPC and gRPC-Web over HTTP/1.1, as connect-go serves it and `profilecli` calls it.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::{
    Answer, Relay, Request, Response, Rig, Upstream,
    client::chunks,
    message::{gunzip, gzip, one_series, series},
    verbatim,
};

const PATH: &str = "/push.v1.PusherService/Push";

/// Trailers as connect-go sends them: without a declaration in the head.
const STATUS: [(&str, &str); 2] = [("grpc-status", "3"), ("grpc-message", "no")];

fn push() -> Vec<u8> {
    one_series(&[("a", "b")], b"profile")
}

fn framed(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flags], &length.to_be_bytes()[..], message].concat()
}

fn call(kind: &str, body: &[u8]) -> Request {
    Request::post(PATH, body).field("Content-Type", kind)
}

/// A chunked response of gRPC, with `fields` in its head.
fn undeclared(fields: &str) -> Upstream {
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{fields}\r\n");
    let body = chunks(&[&framed(0, b"")], &STATUS);
    Upstream::answering(Answer::raw(&[head.into_bytes(), body].concat()))
}

fn trailers(answer: &Response) -> Vec<(String, String)> {
    let lower = |(name, value): &(String, String)| (name.to_lowercase(), value.clone());
    answer.body.trailers.iter().map(lower).collect()
}

#[test]
fn the_status_of_a_grpc_call_over_http_1_1_reaches_the_client() {
    let upstream = undeclared("Content-Type: application/grpc\r\n");
    let rig = Rig::with(upstream, Upstream::ok(), &["tags: { env: x }"], verbatim);
    let request = call("application/grpc", &framed(0, &push())).field("TE", "trailers");
    let answer = rig.send(&request);
    assert_eq!(answer.body.data, framed(0, b""));
    assert_eq!(
        trailers(&answer),
        STATUS.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    // The one header that the relay adds.
    assert_eq!(
        answer.head.get("trailer").as_deref(),
        Some("grpc-status, grpc-message, grpc-status-details-bin")
    );
    assert_eq!(answer.head.fields().len(), 3, "{}", answer.head.text());

    let arrived = rig.upstream.only();
    assert_eq!(arrived.head.start_line(), format!("POST {PATH} HTTP/1.1"));
    assert_eq!(arrived.head.get("te"), Some("trailers".to_owned()));
    assert_eq!(arrived.body.raw, framed(0, &push()));
    let teed = rig.target.only();
    assert_eq!(
        teed.head.get("content-type"),
        Some("application/proto".to_owned())
    );
    let labels = [("env", "x"), ("a", "b")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(series(&teed.body.data)[0].labels, labels);
}

#[test]
fn no_other_response_gets_a_header_of_ours() {
    let grpc = "Content-Type: application/grpc\r\n";
    for (fields, request) in [
        // A client that does not accept trailers.
        (grpc, call("application/grpc", &framed(0, &push()))),
        // A response that is not gRPC.
        (
            "",
            call("application/grpc", &framed(0, &push())).field("TE", "trailers"),
        ),
        // A request that is not gRPC.
        (
            grpc,
            call("application/proto", &push()).field("TE", "trailers"),
        ),
        // gRPC-Web carries its trailers in the body.
        (
            "Content-Type: application/grpc-web+proto\r\n",
            call("application/grpc-web+proto", &framed(0, &push())).field("TE", "trailers"),
        ),
    ] {
        let rig = Rig::verbatim(undeclared(fields));
        let answer = rig.send(&request);
        assert_eq!(answer.body.data, framed(0, b""));
        assert!(!answer.head.has("trailer"), "{}", answer.head.text());
    }
    let declared = format!("{grpc}Trailer: grpc-status, Grpc-Message, grpc-status-details-bin\r\n");
    let rig = Rig::verbatim(undeclared(&declared));
    let request = call("application/grpc", &framed(0, &push())).field("TE", "trailers");
    let answer = rig.send(&request);
    assert_eq!(
        answer.head.get("trailer").as_deref(),
        Some("grpc-status, Grpc-Message, grpc-status-details-bin")
    );
    assert_eq!(trailers(&answer).len(), 2);
}

#[test]
fn grpc_web_is_teed_as_a_plain_push() {
    let text = |body: Vec<u8>| STANDARD.encode(body).into_bytes();
    let (plain, packed) = (framed(0, &push()), framed(1, &gzip(&push())));
    for tags in ["tags: {}", "tags: { a: b }"] {
        for (kind, body) in [
            ("application/grpc-web", plain.clone()),
            ("application/grpc-web+proto", packed.clone()),
            ("application/grpc-web-text", text(plain.clone())),
            ("application/grpc-web-text+proto", text(packed.clone())),
        ] {
            let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[tags], verbatim);
            let request = call(kind, &body).field("Grpc-Encoding", "gzip");
            assert_eq!(rig.send(&request).status(), 200);
            let arrived = rig.upstream.only();
            assert_eq!(arrived.head.get("content-type").as_deref(), Some(kind));
            assert_eq!(arrived.body.raw, body);
            let teed = rig.target.only();
            assert_eq!(
                teed.head.get("content-type").as_deref(),
                Some("application/proto")
            );
            let message = match teed.head.get("content-encoding").as_deref() {
                Some("gzip") => gunzip(&teed.body.data),
                other => {
                    assert_eq!(other, None);
                    teed.body.data
                }
            };
            assert_eq!(message, push(), "{kind} {tags}");
        }
    }
}

#[test]
fn what_is_no_grpc_web_is_undecodable() {
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[], verbatim);
    for (kind, body) in [
        ("application/grpc-web-text", &b"AAAA*"[..]),
        ("application/grpc-web-text", b"AAAA"),
        ("application/grpc-web", b"no frame"),
    ] {
        assert_eq!(rig.send(&call(kind, body)).status(), 200);
    }
    rig.relay.wait_ledger("central", "three lost", |ledger| {
        ledger.dropped("undecodable").profiles == 3
    });
    assert!(rig.target.arrivals().is_empty());
}

fn relay_only(target: &Upstream) -> Relay {
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", target, &[])
        .spawn()
}

#[test]
fn without_an_upstream_grpc_over_http_1_1_has_its_status_in_trailers() {
    let target = Upstream::ok();
    let relay = relay_only(&target);
    let request = call("application/grpc", &framed(0, &push())).field("TE", "trailers");
    let answer = relay.send(&request);
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.head.get("content-type").as_deref(),
        Some("application/grpc")
    );
    assert_eq!(answer.body.data, framed(0, b""));
    assert_eq!(
        trailers(&answer),
        [("grpc-status".to_owned(), "0".to_owned())]
    );
    assert_eq!(target.only().body.data, push());
}

#[test]
fn without_an_upstream_grpc_web_has_its_status_in_the_body() {
    let target = Upstream::ok();
    let relay = relay_only(&target);
    let ok = [framed(0, b""), framed(0x80, b"grpc-status: 0\r\n")].concat();
    for (kind, answered) in [
        ("application/grpc-web", "application/grpc-web+proto"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        ("application/grpc-web+json", "application/grpc-web+json"),
    ] {
        let answer = relay.send(&call(kind, &framed(0, &push())));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.head.get("content-type").as_deref(), Some(answered));
        assert_eq!(answer.body.data, ok, "{kind}");
    }
    let text = STANDARD.encode(framed(0, &push())).into_bytes();
    let answer = relay.send(&call("application/grpc-web-text", &text));
    assert_eq!(
        answer.head.get("content-type").as_deref(),
        Some("application/grpc-web-text+proto")
    );
    assert_eq!(STANDARD.decode(&answer.body.data).unwrap(), ok);
}

#[test]
fn without_an_upstream_an_error_of_grpc_web_is_in_the_body_too() {
    let target = Upstream::answering(Answer::never());
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &["queue-size: 1", "queue-workers: 1"])
        .spawn();
    let request = call("application/grpc-web+proto", &framed(0, &push()));
    let answers: Vec<_> = (0..3).map(|_| relay.send(&request)).collect();
    let refused = answers.last().unwrap();
    assert_eq!(refused.status(), 200);
    assert_eq!(
        refused.head.get("content-type").as_deref(),
        Some("application/grpc-web+proto")
    );
    let trailers = b"grpc-status: 14\r\ngrpc-message: every target's queue is full\r\n";
    assert_eq!(refused.body.data, framed(0x80, trailers));
}
