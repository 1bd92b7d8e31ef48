//! gRPC calls with profiles, made by the client of tonic, which shares no code with the relay.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes};
use http_body_util::Full;
use hyper::{HeaderMap, http::uri::PathAndQuery};
use tonic::{
    Code, Request, Response, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use crate::{
    push::{PATH, small},
    support::{
        Answer, Count, Relay, SOON, Upstream,
        h2::{self, GrpcAnswer, GrpcUpstream, runtime},
        message::{export, frame, gunzip, gzip, one_series, resources, series},
    },
};

const EXPORT: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// A codec that passes messages as bytes; the tests make and read the messages.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        Ok(Some(message.to_vec()))
    }
}

type Outcome = Result<Response<Vec<u8>>, Status>;

async fn client(to: SocketAddr) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
    let channel = endpoint.connect().await.expect("it takes connections");
    Grpc::new(channel)
}

async fn unary(
    client: &mut Grpc<Channel>,
    path: &'static str,
    request: Request<Vec<u8>>,
) -> Outcome {
    client.ready().await.expect("the connection is open");
    let path = PathAndQuery::from_static(path);
    client.unary(request, path, Raw).await
}

/// One call on a connection of its own.
fn call(to: SocketAddr, path: &'static str, message: Vec<u8>) -> Outcome {
    runtime().block_on(async { unary(&mut client(to).await, path, Request::new(message)).await })
}

/// All that a client can see of an outcome: code, text, details or message, head and trailers.
fn seen(outcome: Outcome) -> (Code, String, Vec<u8>, HeaderMap) {
    match outcome {
        Ok(response) => {
            let (metadata, message, _) = response.into_parts();
            (Code::Ok, String::new(), message, metadata.into_headers())
        }
        Err(status) => (
            status.code(),
            status.message().to_owned(),
            status.details().to_vec(),
            status.metadata().clone().into_headers(),
        ),
    }
}

/// Waits for `condition` and lets the client's connection work meanwhile.
async fn soon(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let met = tokio::time::timeout(SOON, met).await;
    met.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}"));
}

fn relay(upstream: &GrpcUpstream, target: &Upstream) -> Relay {
    Relay::builder()
        .upstream_address(&upstream.url())
        .target("central", target, &["tags: { env: x }"])
        .spawn()
}

#[test]
fn status_message_and_trailers_are_those_of_a_direct_call() {
    let ok = GrpcAnswer::Call {
        head: &[("x-head", "yes"), ("x-twice", "1"), ("x-twice", "2")],
        body: frame(false, b"answer"),
        trailers: &[("grpc-status", "0"), ("x-cost", "7"), ("proof-bin", "AAH/")],
    };
    let empty = GrpcAnswer::Call {
        head: &[],
        body: frame(false, b""),
        trailers: &[("grpc-status", "0")],
    };
    let refusal = GrpcAnswer::Call {
        head: &[("x-head", "yes")],
        body: Vec::new(),
        trailers: &[
            ("grpc-status", "8"),
            ("grpc-message", "limit%20of%20%C3%A9"),
            ("grpc-status-details-bin", "CAgSBWxpbWl0"),
            ("x-cost", "7"),
        ],
    };
    let head_alone = GrpcAnswer::Call {
        head: &[
            ("grpc-status", "3"),
            ("grpc-message", "no profiles received"),
        ],
        body: Vec::new(),
        trailers: &[],
    };
    let codes = [
        Code::Ok,
        Code::Ok,
        Code::ResourceExhausted,
        Code::InvalidArgument,
    ];
    for (answer, code) in [ok, empty, refusal, head_alone].into_iter().zip(codes) {
        let upstream = GrpcUpstream::script(move |_| answer.clone());
        let target = Upstream::ok();
        let relay = relay(&upstream, &target);
        let direct = seen(call(upstream.address(), PATH, small()));
        let relayed = seen(call(relay.addr(), PATH, small()));
        assert_eq!(direct.0, code);
        assert_eq!(relayed, direct);

        let requests = upstream.requests();
        let [direct, relayed] = &requests[..] else {
            panic!("{requests:?}")
        };
        assert_eq!(relayed.body, direct.body);
        assert_eq!(relayed.head.uri.path(), PATH);
        for name in ["content-type", "te", "user-agent"] {
            assert_eq!(
                relayed.head.headers.get(name),
                direct.head.headers.get(name)
            );
        }
        assert_eq!(target.only().head.path(), PATH);
    }
}

#[test]
fn a_call_reaches_the_target_as_connect_unary_with_tags() {
    let upstream = GrpcUpstream::script(|_| GrpcAnswer::Call {
        head: &[],
        body: frame(false, b""),
        trailers: &[("grpc-status", "0")],
    });
    for packed in [false, true] {
        let (tagged, plain) = (Upstream::ok(), Upstream::ok());
        let relay = Relay::builder()
            .upstream_address(&upstream.url())
            .target("tagged", &tagged, &["tags: { env: x }"])
            .target("plain", &plain, &[])
            .spawn();
        let sent = [one_series(&[("env", "old"), ("a", "1")], b"1"), small()].concat();
        let answer = if packed {
            // Tonic itself could pack the message only with a feature that would change how the relay is built.
            let mut request = raw(&relay, frame(true, &gzip(&sent)));
            let coding = "gzip".parse().unwrap();
            request.headers_mut().insert("grpc-encoding", coding);
            h2::send(relay.addr(), request).body[5..].to_vec()
        } else {
            let mut request = Request::new(sent.clone());
            let secret = "Bearer secret".parse().unwrap();
            request.metadata_mut().insert("authorization", secret);
            let call = async { unary(&mut client(relay.addr()).await, PATH, request).await };
            runtime().block_on(call).unwrap().into_inner()
        };
        assert_eq!(answer, b"");
        let (tagged, plain) = (tagged.only(), plain.only());
        for teed in [&tagged, &plain] {
            let head = &teed.head;
            assert_eq!(head.start_line(), format!("POST {PATH} HTTP/1.1"));
            assert_eq!(
                head.get("content-type"),
                Some("application/proto".to_owned())
            );
            let coding = packed.then(|| "gzip".to_owned());
            assert_eq!(head.get("content-encoding"), coding);
            for name in [
                "te",
                "grpc-encoding",
                "grpc-accept-encoding",
                "authorization",
            ] {
                assert!(!head.has(name), "{}", head.text());
            }
        }
        let unpack = |body: &[u8]| if packed { gunzip(body) } else { body.to_vec() };
        assert_eq!(unpack(&plain.body.data), sent);
        let arrived = upstream.requests().pop().unwrap();
        assert_eq!(arrived.body[0], u8::from(packed));
        assert_eq!(arrived.body[5..], plain.body.data);
        let series = series(&unpack(&tagged.body.data));
        assert_eq!(series.len(), 2);
        for series in &series {
            let tags = series.labels.iter().filter(|(name, _)| name == "env");
            assert_eq!(tags.map(|(_, value)| value).collect::<Vec<_>>(), ["x"]);
        }
        assert_eq!(series[0].profiles, [b"1"]);
        let labels = [("surface", "push"), ("format", "grpc")];
        let metrics = relay.metrics();
        let count = metrics.value("pyroscope_relay_ingested_total", &labels);
        assert_eq!(count, Some(1.0));
    }
}

#[test]
fn an_export_of_opentelemetry_reaches_the_target_over_http() {
    let (upstream, target) = (GrpcUpstream::start(), Upstream::ok());
    let relay = relay(&upstream, &target);
    let sent = export(&[("env", "old"), ("service.name", "shop")]);
    let outcome = call(relay.addr(), EXPORT, sent.clone());
    assert_eq!(outcome.unwrap().into_inner(), sent);
    let teed = target.only();
    assert_eq!(
        teed.head.start_line(),
        "POST /v1development/profiles HTTP/1.1"
    );
    let kind = teed.head.get("content-type");
    assert_eq!(kind, Some("application/x-protobuf".to_owned()));
    let mut attributes = resources(&teed.body.data).remove(0);
    attributes.sort();
    let expected = [("env", "x"), ("service.name", "shop")];
    assert_eq!(
        attributes,
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn a_deadline_ends_the_call_and_the_upstream_hears_of_it() {
    let upstream = GrpcUpstream::script(|number| match number {
        0 => GrpcAnswer::Never,
        _ => GrpcAnswer::Echo,
    });
    let target = Upstream::ok();
    let relay = relay(&upstream, &target);
    runtime().block_on(async {
        let mut client = client(relay.addr()).await;
        let mut request = Request::new(small());
        request.set_timeout(Duration::from_millis(300));
        let started = Instant::now();
        let status = unary(&mut client, PATH, request).await.unwrap_err();
        let took = started.elapsed();
        assert!(
            matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
            "{status:?}"
        );
        assert!(
            took >= Duration::from_millis(300) && took < SOON,
            "{took:?}"
        );
        soon("the call is taken back", || upstream.abandoned() == 1).await;
        let head = &upstream.requests()[0].head;
        assert!(head.headers.contains_key("grpc-timeout"), "{head:?}");
        // Only the stream was reset: both connections go on. For the targets the second call is a client's retry of the
        // first.
        let answer = unary(&mut client, PATH, Request::new(small())).await;
        assert_eq!(answer.unwrap().into_inner(), small());
    });
    assert_eq!(upstream.connections(), 1);
    let teed = target.only();
    assert!(!teed.head.has("grpc-timeout"), "{}", teed.head.text());
}

#[test]
fn a_client_that_cancels_takes_its_call_back_and_not_its_profile() {
    let upstream = GrpcUpstream::script(|_| GrpcAnswer::Never);
    let target = Upstream::ok();
    let relay = relay(&upstream, &target);
    runtime().block_on(async {
        let mut client = client(relay.addr()).await;
        let arrived = soon("the call arrives", || !upstream.requests().is_empty());
        tokio::select! {
            outcome = unary(&mut client, PATH, Request::new(small())) => panic!("{outcome:?}"),
            () = arrived => {}
        }
        // The connection is still open: only the stream was reset.
        soon("the call is taken back", || upstream.abandoned() == 1).await;
    });
    assert_eq!(target.only().head.path(), PATH);
}

#[test]
fn what_is_not_one_message_is_relayed_and_not_delivered() {
    let target = Upstream::ok();
    let upstream = GrpcUpstream::start();
    let relay = relay(&upstream, &target);
    let two = [frame(false, &small()), frame(false, &small())].concat();
    let bodies = [
        two,
        frame(true, b"no coding"),
        frame(false, b"x")[..5].to_vec(),
        vec![],
    ];
    for (nth, body) in bodies.into_iter().enumerate() {
        let answer = h2::send(relay.addr(), raw(&relay, body.clone()));
        assert_eq!(answer.trailers["grpc-status"], "0");
        assert_eq!(answer.body, body);
        let lost = nth as u64 + 1;
        let ledger = relay.wait_ledger("central", "a drop", |l| l.lost().profiles == lost);
        assert_eq!(ledger.dropped("undecodable").profiles, lost, "{ledger:?}");
    }
    assert!(target.arrivals().is_empty());
}

fn raw(relay: &Relay, body: Vec<u8>) -> hyper::Request<Full<Bytes>> {
    hyper::Request::post(format!("http://{}{PATH}", relay.addr()))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

#[test]
fn without_an_upstream_a_call_ends_as_a_pyroscope_would_end_it() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &["tags: { env: x }"])
        .spawn();
    for path in [PATH, EXPORT] {
        let message = if path == PATH { small() } else { export(&[]) };
        assert_eq!(call(relay.addr(), path, message).unwrap().into_inner(), b"");
    }
    let answer = h2::send(relay.addr(), raw(&relay, frame(false, &small())));
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.headers["content-type"], "application/grpc");
    assert_eq!(answer.body, [0; 5]);
    assert_eq!(answer.trailers["grpc-status"], "0");
    target.wait_for(3, SOON);
}

#[test]
fn without_an_upstream_a_call_no_queue_took_is_unavailable() {
    let target = Upstream::answering(Answer::never());
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &["queue-size: 1", "queue-workers: 1"])
        .spawn();
    let [first, _, last] = [(); 3].map(|()| call(relay.addr(), PATH, small()));
    assert_eq!(first.unwrap().into_inner(), b"");
    let status = last.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(!status.message().is_empty());
    let ledger = relay.ledger("central");
    assert_eq!(ledger.sent, Count::default());
    assert!(ledger.dropped("queue_full").profiles >= 1, "{ledger:?}");
}
