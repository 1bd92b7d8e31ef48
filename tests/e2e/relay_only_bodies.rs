//! `disable-local-writes`: responses for a body that no target can get.

use std::iter;

use bytes::Bytes;
use http_body_util::Full;

use crate::{
    push::{PATH, packed, push, small},
    support::{
        Answer, Builder, Count, Relay, Request, SOON, Upstream,
        client::noise,
        h2,
        message::{bomb, export, frame, gzip},
    },
};

const OTLP: &str = "/v1development/profiles";
const EXPORT: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

const TAGS: &str = "tags: { env: x }";
const MEMORY: &str = "# no spool";
const SPOOL: &str = "spool: { dir: \"{home}/spool\", fsync: always }";

/// An upload, by either protocol.
enum Upload {
    Http(Request),
    /// A gRPC call: path, `grpc-encoding`, body.
    Grpc(&'static str, Option<&'static str>, Vec<u8>),
}

/// The response to an upload.
#[derive(Debug, PartialEq)]
enum Told {
    Taken,
    /// The HTTP status, or the status that corresponds to the gRPC status.
    Refused(u16),
}

impl Upload {
    fn send(&self, relay: &Relay) -> Told {
        match self {
            Self::Http(request) => {
                let answer = relay.send(request);
                let code = || answer.json()["code"].clone();
                match answer.status() {
                    200 => return Told::Taken,
                    503 => assert_eq!(code(), "unavailable"),
                    _ => assert_eq!(code(), "invalid_argument"),
                }
                let asked_to_return = answer.head.get("retry-after").is_some();
                assert_eq!(asked_to_return, answer.status() == 503, "{answer:?}");
                Told::Refused(answer.status())
            }
            Self::Grpc(path, coding, body) => {
                let mut request = hyper::Request::post(format!("http://{}{path}", relay.addr()))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers");
                if let Some(coding) = coding {
                    request = request.header("grpc-encoding", *coding);
                }
                let body = Full::new(Bytes::from(body.clone()));
                let answer = h2::send(relay.addr(), request.body(body).unwrap());
                assert_eq!(answer.head.status, 200);
                let status = answer.head.headers.get("grpc-status");
                let status = status.unwrap_or_else(|| &answer.trailers["grpc-status"]);
                match status.to_str().unwrap() {
                    "0" => Told::Taken,
                    "3" => Told::Refused(400),
                    "14" => Told::Refused(503),
                    other => panic!("grpc-status {other}"),
                }
            }
        }
    }
}

fn otlp(kind: &str, body: &[u8]) -> Request {
    Request::post(OTLP, body).field("Content-Type", kind)
}

/// Bodies into which no tags can be put, but which a target without tags can get.
fn unreadable() -> Vec<(&'static str, Upload)> {
    let (proto, json) = ("application/x-protobuf", "application/json");
    let cut = &gzip(&small())[..20];
    let push_json = Request::post(PATH, br#"{"series":[{"labels":["#).field("Content-Type", json);
    let coded = |coding, request: Request| Upload::Http(request.field("Content-Encoding", coding));
    vec![
        ("push zstd", coded("zstd", push(b"x"))),
        ("push br", coded("br", push(b"x"))),
        ("push, no gzip", coded("gzip", push(b"x"))),
        ("push, cut gzip", coded("gzip", push(cut))),
        ("push, cut proto", Upload::Http(push(b"\x0a\xff\x01"))),
        ("push, a page", Upload::Http(push(b"<html>"))),
        ("push, broken JSON", Upload::Http(push_json)),
        ("otlp zstd", coded("zstd", otlp(proto, b"x"))),
        ("otlp, no gzip", coded("gzip", otlp(proto, b"x"))),
        ("otlp, cut proto", Upload::Http(otlp(proto, b"\x0a\xff"))),
        ("otlp, broken JSON", Upload::Http(otlp(json, b"{"))),
        (
            "grpc, no gzip",
            Upload::Grpc(PATH, Some("gzip"), frame(true, b"x")),
        ),
        (
            "grpc zstd",
            Upload::Grpc(PATH, Some("zstd"), frame(true, b"x")),
        ),
        (
            "grpc, cut proto",
            Upload::Grpc(PATH, None, frame(false, b"\x0a\xff")),
        ),
        (
            "grpc otlp",
            Upload::Grpc(EXPORT, None, frame(false, b"\x0a\xff")),
        ),
    ]
}

/// gRPC calls whose message cannot be taken out of its frame, which is necessary for every target.
fn unframed() -> Vec<(&'static str, Upload)> {
    let grpc = |body| Upload::Grpc(PATH, None, body);
    vec![
        ("cut frame", grpc(frame(false, b"xy")[..6].to_vec())),
        ("no frame", grpc(Vec::new())),
        ("two frames", grpc(frame(false, b"").repeat(2))),
        ("undeclared coding", grpc(frame(true, b"x"))),
    ]
}

fn readable() -> Vec<(&'static str, Upload)> {
    vec![
        ("push", Upload::Http(push(&small()))),
        ("packed push", Upload::Http(packed(&small()))),
        ("empty push", Upload::Http(push(b""))),
        (
            "otlp",
            Upload::Http(otlp("application/x-protobuf", &export(&[]))),
        ),
        ("grpc", Upload::Grpc(PATH, None, frame(false, &small()))),
        (
            "packed grpc",
            Upload::Grpc(PATH, Some("gzip"), frame(true, &gzip(&small()))),
        ),
        (
            "/ingest",
            Upload::Http(Request::profile("app", b"\x1f\x8b what it is")),
        ),
    ]
}

/// A relay without an upstream, with one target for each element of `options`: `a`, `b`, ...
fn relay(options: &[&[&str]], targets: &[Upstream], yaml: &str) -> Relay {
    let builder: Builder = Relay::builder().remote_write("disable-local-writes: true");
    let targets = ["a", "b"].iter().zip(targets).zip(options);
    targets
        .fold(builder, |builder, ((name, target), options)| {
            builder.target(name, target, options)
        })
        .yaml(yaml)
        .spawn()
}

/// Sends all of `uploads`, asserts that each gets the response `told`, and returns their number.
fn all_are(told: &Told, uploads: &[(&str, Upload)], relay: &Relay) -> u64 {
    for (what, upload) in uploads {
        assert_eq!(upload.send(relay), *told, "{what}");
    }
    uploads.len() as u64
}

#[test]
fn where_every_target_has_tags_a_body_that_cannot_be_read_is_a_400() {
    for yaml in [MEMORY, SPOOL] {
        let targets = [Upstream::ok(), Upstream::ok()];
        let relay = relay(&[&[TAGS], &["tags: { a: b }"]], &targets, yaml);
        let refused = all_are(&Told::Refused(400), &unreadable(), &relay)
            + all_are(&Told::Refused(400), &unframed(), &relay);
        // The losses are counted at once: no profile was ever in a queue.
        for name in ["a", "b"] {
            let ledger = relay.ledger(name);
            assert_eq!(ledger.accepted.profiles, refused);
            assert_eq!(ledger.dropped("undecodable").profiles, refused);
        }
        let labels = [("result", "undecodable")];
        let counted = relay.metrics().value("pyroscope_relay_tee_total", &labels);
        assert_eq!(counted, Some(refused as f64));

        let taken = all_are(&Told::Taken, &readable(), &relay);
        for (name, target) in ["a", "b"].iter().zip(&targets) {
            relay.wait_ledger(name, "all sent", |ledger| ledger.sent.profiles == taken);
            assert_eq!(target.arrivals().len() as u64, taken);
        }
    }
}

#[test]
fn where_one_target_has_no_tags_it_gets_what_nobody_can_read() {
    for (options, yaml) in iter::zip(
        [&[&[][..], &[TAGS]][..], &[&[][..]]].repeat(2),
        [MEMORY, MEMORY, SPOOL, SPOOL],
    ) {
        let targets = [Upstream::ok(), Upstream::ok()];
        let relay = relay(options, &targets, yaml);
        let refused = all_are(&Told::Refused(400), &unframed(), &relay);
        let unread = all_are(&Told::Taken, &unreadable(), &relay);
        let taken = unread + all_are(&Told::Taken, &readable(), &relay);
        let plain = relay.wait_ledger("a", "all sent", |ledger| ledger.sent.profiles == taken);
        assert_eq!(plain.lost(), plain.dropped("undecodable"));
        assert_eq!(plain.lost().profiles, refused);
        assert_eq!(targets[0].arrivals().len() as u64, taken);
        if options.len() == 2 {
            relay.wait_ledger("b", "its share", |ledger| {
                ledger.sent.profiles == taken - unread
                    && ledger.dropped("undecodable").profiles == refused + unread
            });
        }
    }
}

#[test]
fn a_body_that_no_queue_can_ever_hold_is_a_413() {
    let large = noise(2_200_000);
    for (options, yaml, reason) in [
        (&[TAGS][..], "tee: { max-body: 1MiB }", "too_large"),
        (&[], "tee: { max-body: 1MiB }", "too_large"),
        // The default of `tee.max-body` is at most the size that a queue can hold.
        (&["queue-bytes: 1MiB"], MEMORY, "too_large"),
        (
            &["queue-bytes: 1MiB"],
            "tee: { max-body: 8MiB }",
            "queue_full",
        ),
        (
            &["queue-bytes: 1MiB"],
            "tee: { max-body: 8MiB }\nspool: { dir: \"{home}/spool\" }",
            "queue_full",
        ),
        (
            &[],
            "spool: { dir: \"{home}/spool\", max-bytes: 4MiB }",
            "spool_full",
        ),
    ] {
        let relay = relay(&[options], &[Upstream::ok()], yaml);
        let chunked = Request::chunked("/ingest?name=app", &[&large], &[]);
        for request in [Request::profile("app", &large), chunked] {
            assert_eq!(Upload::Http(request).send(&relay), Told::Refused(413));
        }
        let ledger = relay.ledger("a");
        assert_eq!(ledger.dropped(reason), Count::new(2, 2 * large.len()));
        assert_eq!(ledger.accepted, ledger.lost());
        let small = Upload::Http(Request::profile("app", b"profile"));
        assert_eq!(small.send(&relay), Told::Taken);
    }
}

#[test]
fn a_large_message_is_refused_by_connect_and_grpc() {
    let relay = relay(&[&[TAGS]], &[Upstream::ok()], "tee: { max-body: 1MiB }");
    let large = noise(2_200_000);
    assert_eq!(Upload::Http(push(&large)).send(&relay), Told::Refused(413));
    let call = Upload::Grpc(PATH, None, frame(false, &large));
    assert_eq!(call.send(&relay), Told::Refused(400));
}

#[test]
fn a_shortage_of_memory_is_a_503_and_too_little_of_it_a_413() {
    for yaml in [MEMORY, SPOOL] {
        let target = [Upstream::answering(Answer::never())];
        let yaml = format!("memory-limit: 8MiB\n{yaml}");
        let options = [TAGS, "queue-bytes: 8MiB", "timeout: 5m"];
        let relay = relay(&[&options], &target, &yaml);
        let bomb = push(&bomb()).field("Content-Encoding", "gzip");
        assert_eq!(Upload::Http(bomb).send(&relay), Told::Refused(413));
        // Longer than a quarter of the limit, although the message is not packed.
        let plain = push(&noise((2 << 20) + 1));
        assert_eq!(Upload::Http(plain).send(&relay), Told::Refused(413));

        // The upload in flight leaves no room to record another body of this size, but room to unpack a small one.
        let large = Request::profile("app", &vec![7; (5 << 20) + (400 << 10)]);
        assert_eq!(relay.send(&large).status(), 200);
        target[0].wait_for(1, SOON);
        let next = Request::profile("app", &vec![7; 800 << 10]);
        assert_eq!(Upload::Http(next).send(&relay), Told::Refused(503));
        assert_eq!(Upload::Http(packed(&small())).send(&relay), Told::Taken);
        let ledger = relay.ledger("a");
        assert_eq!(ledger.dropped("budget").profiles, 1);
        assert_eq!(ledger.dropped("too_large").profiles, 2);
        assert_eq!((ledger.accepted.profiles, ledger.pending.profiles), (5, 2));
    }
}
