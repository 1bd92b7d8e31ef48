//! Tests HTTP/2 clients that hold memory and make no progress, over a pipe and with a paused clock.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream, client};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_http::body::UnsyncBoxBody;

use super::connection::serve_io;
use crate::client::{Client, UploadBody};
use crate::metrics::ProxyMetrics;
use crate::observe::ObserveLayer;
use crate::stack::Stack;

/// Length of each response in bytes: more than a stream's first window.
const RESPONSE: usize = 200_000;

/// A stack that reads a request's body and responds: 408 if the body fails.
fn stack(metrics: &Arc<ProxyMetrics>) -> Stack {
    let respond = |request: Request<UploadBody<Incoming>>| async {
        let mut response = Response::new(Full::new(Bytes::from(vec![7; RESPONSE])));
        if request.into_body().collect().await.is_err() {
            *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
        }
        Ok::<_, Infallible>(response.map(|body| UnsyncBoxBody::new(body.map_err(BoxError::from))))
    };
    let metrics = Arc::clone(metrics);
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .layer(ObserveLayer { metrics })
            .service(service_fn(respond)),
    )
}

/// Connects a client whose streams have a first window of `window` bytes, and serves its connection.
async fn connect(window: u32) -> SendRequest<Bytes> {
    let (near, far): (DuplexStream, _) = tokio::io::duplex(1 << 20);
    let metrics = ProxyMetrics::new();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4040));
    let client = Arc::new(Client::new(peer, false, Arc::default()));
    let stack = stack(&metrics);
    tokio::spawn(serve_io(
        far,
        client,
        stack,
        metrics,
        CancellationToken::new(),
    ));
    let mut builder = client::Builder::new();
    let connecting = builder.initial_window_size(window).handshake(near);
    let (requests, connection) = connecting.await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

fn open(
    requests: &mut SendRequest<Bytes>,
    request: http::request::Builder,
    ends: bool,
) -> (ResponseFuture, SendStream<Bytes>) {
    let request = request.uri("http://relay/x").body(()).unwrap();
    requests.send_request(request, ends).unwrap()
}

/// Reads `body` to its end; returns its length in bytes, or the reason for which the stream was reset.
async fn read(mut body: RecvStream) -> Result<usize, Option<Reason>> {
    let mut len = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| error.reason())?;
        len += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    Ok(len)
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_taken_ends_its_stream_and_no_other() {
    let mut requests = connect(0).await;
    let started = Instant::now();
    let (response, _) = open(&mut requests, Request::get("/"), true);
    let not_taken = response.await.unwrap().into_body();
    sleep(Duration::from_secs(60)).await;
    let (response, _) = open(&mut requests, Request::get("/"), true);
    let mut other = response.await.unwrap().into_body();
    assert_eq!(read(not_taken).await, Err(Some(Reason::CANCEL)));
    assert_eq!(started.elapsed().as_secs(), 120);
    other.flow_control().release_capacity(0).unwrap();
    assert!(!other.is_end_stream(), "half of its time is left");
}

#[tokio::test(start_paused = true)]
async fn a_response_is_taken_however_slowly() {
    let mut requests = connect(1_000).await;
    let (response, _) = open(&mut requests, Request::get("/"), true);
    let mut body = response.await.unwrap().into_body();
    let mut len = 0;
    while let Some(piece) = body.data().await {
        len += piece.as_ref().unwrap().len();
        sleep(Duration::from_secs(100)).await;
        body.flow_control()
            .release_capacity(piece.unwrap().len())
            .unwrap();
    }
    assert_eq!(len, RESPONSE);
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_keep_an_upload_that_stands_still() {
    let mut requests = connect(65_535).await;
    let started = Instant::now();
    let (response, mut body) = open(&mut requests, Request::post("/"), false);
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    for _ in 0..3 {
        sleep(Duration::from_secs(35)).await;
        // An empty DATA frame is no progress either.
        body.send_data(Bytes::new(), false).unwrap();
    }
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(started.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_moves_may_take_for_ever() {
    let mut requests = connect(65_535).await;
    let (response, mut body) = open(&mut requests, Request::post("/"), false);
    for last in [false, false, false, true] {
        sleep(Duration::from_secs(100)).await;
        body.send_data(Bytes::from_static(b"abc"), last).unwrap();
    }
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_heads_of_a_connection_have_a_limit_and_a_refused_stream_can_be_sent_again() {
    let mut requests = connect(65_535).await;
    let large = || Request::post("/").header("x", "v".repeat(200_000));
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(open(&mut requests, large(), false));
    }
    let (refused, _) = open(&mut requests, large(), false);
    let error = refused.await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM));
    drop(held);
    sleep(Duration::from_secs(1)).await;
    let (response, _) = open(&mut requests, large(), true);
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_head_of_thousands_of_fields_is_a_431_and_the_end_of_its_connection() {
    let mut requests = connect(65_535).await;
    let mut request = Request::get("/");
    for _ in 0..3_000 {
        request = request.header("x", "v");
    }
    let (response, _) = open(&mut requests, request, true);
    let status = response.await.unwrap().status();
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    // 5 s are much less than the idle timeout.
    sleep(Duration::from_secs(5)).await;
    assert!(requests.ready().await.is_err(), "the connection has ended");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends() {
    let requests = connect(65_535).await;
    let started = Instant::now();
    let ended = async {
        let mut requests = requests;
        while let Ok(ready) = requests.ready().await {
            requests = ready;
            sleep(Duration::from_secs(1)).await;
        }
    };
    ended.await;
    let seconds = started.elapsed().as_secs();
    // The pipe reports nothing to the timeouts, so the connection counts as one that sends its head.
    assert!((10..=12).contains(&seconds), "{seconds}");
}
