//! Requests that fail because of their client, and are not counted as errors of the upstream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use bytes::Bytes;
use hyper::{
    Request as HttpRequest,
    body::{Body, Frame},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::oneshot};

use crate::support::{Count, Relay, Request, Rig, SOON, Upstream, client, eventually, h2};

const PATH: &str = "/ingest?name=app&from=1&until=2";

/// Asserts that `count` bodies failed with `kind`, that each response had the status `code`, and that the relay counts
/// and logs no fault of the upstream.
fn assert_faults(relay: &Relay, kind: &str, code: &str, count: f64) {
    let faults = || {
        let metrics = relay.metrics();
        metrics.value("pyroscope_relay_client_errors_total", &[("kind", kind)])
    };
    eventually(SOON, "the bodies are counted", || faults() == Some(count));
    let answered = || {
        let labels = [("route", "ingest"), ("code", code)];
        relay
            .metrics()
            .value("pyroscope_relay_requests_total", &labels)
    };
    eventually(SOON, "the requests are counted", || {
        answered() == Some(count)
    });
    let metrics = relay.metrics();
    assert_eq!(
        metrics.sum("pyroscope_relay_upstream_errors_total", &[]),
        0.0
    );
    assert!(
        !relay.output().contains("cannot be reached"),
        "{}",
        relay.output()
    );
}

#[test]
fn an_upload_that_its_client_breaks_off_is_the_clients_fault() {
    let rig = Rig::new();
    for (before, framing) in ["Content-Length: 100", "Transfer-Encoding: chunked"]
        .iter()
        .enumerate()
    {
        let mut client = rig.client();
        let head = format!("POST {PATH} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n3\r\nabc\r\n");
        client.send(head.as_bytes());
        rig.upstream
            .wait_until(SOON, "the head", |requests| requests.len() > before);
    }
    assert_faults(&rig.relay, "aborted_body", "499", 2.0);
    assert_eq!(rig.relay.ledger("central").accepted, Count::default());
}

#[test]
fn an_upload_with_a_broken_chunk_is_a_400() {
    let rig = Rig::new();
    let broken = [
        &b"zz\r\n"[..],
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"10000000000000003\r\nabc\r\n",
    ];
    for body in broken {
        let head = format!("POST {PATH} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        let request = [head.as_bytes(), body].concat();
        let answer = client::send_raw(rig.relay.addr(), &request);
        assert_eq!(answer.status(), 400, "{}", body.escape_ascii());
        assert_eq!(answer.json()["code"], "invalid_argument");
    }
    assert_faults(&rig.relay, "malformed_body", "400", broken.len() as f64);
    assert_eq!(rig.relay.ledger("central").accepted, Count::default());
}

#[test]
fn a_relay_without_local_writes_says_the_same_of_a_broken_chunk() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &[])
        .spawn();
    let request =
        format!("POST {PATH} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(
        client::send_raw(relay.addr(), request.as_bytes()).status(),
        400
    );
    assert_faults(&relay, "malformed_body", "400", 1.0);
}

#[test]
fn an_upload_whose_stream_is_reset_is_the_clients_fault() {
    let rig = Rig::new();
    let address = rig.relay.addr();
    let uri = format!("http://{address}{PATH}");
    let (arrived, break_off) = oneshot::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            // A stream that is reset before the relay has accepted it does not count as a request.
            rig.upstream
                .wait_until(SOON, "the head", |requests| !requests.is_empty());
            arrived.send(()).unwrap();
        });
        h2::runtime().block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let io = TokioIo::new(stream);
            let handshake = http2::handshake(TokioExecutor::new(), io).await;
            let (mut sender, connection) = handshake.unwrap();
            tokio::spawn(connection);
            let body = BreaksOff {
                data: Some("abc"),
                break_off,
            };
            // hyper resets the stream when its body fails.
            let request = HttpRequest::post(uri).body(body).unwrap();
            assert!(sender.send_request(request).await.is_err());
        });
    });
    assert_faults(&rig.relay, "aborted_body", "499", 1.0);
}

/// A body that fails after its first frame, when `break_off` fires.
struct BreaksOff {
    data: Option<&'static str>,
    break_off: oneshot::Receiver<()>,
}

impl Body for BreaksOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data.into()))));
        }
        let told = Pin::new(&mut self.break_off).poll(cx);
        told.map(|_| Some(Err(io::Error::other("broken off"))))
    }
}

#[test]
fn an_early_answer_does_not_hide_that_the_client_broke_off() {
    let upstream = Upstream::answering(crate::support::Answer::status(413, b"no").early());
    let rig = Rig::with(upstream, Upstream::ok(), &[], |builder| builder);
    let mut client = rig.client();
    client.send(&Request::profile("app", b"a late body").head());
    assert_eq!(client.receive().status(), 413);
    drop(client);
    assert_faults(&rig.relay, "aborted_body", "413", 1.0);
}
