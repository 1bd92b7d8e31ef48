use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http_body_util::{Empty, Full};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;

type Call = Empty<Bytes>;
type Client = Arc<GrpcClient<Call>>;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A client whose connections are made by `dial`, which gets the number of the connection, from 0. Also returns the
/// number of connections so far.
fn client(
    dial: impl Fn(usize) -> io::Result<DuplexStream> + Send + Sync + 'static,
) -> (Client, Arc<AtomicUsize>) {
    let dialled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dialled);
    let connector = Connector::in_process(move || dial(count.fetch_add(1, Relaxed)));
    let origin = Uri::from_static("http://10.0.0.1:4042");
    (
        Arc::new(GrpcClient::new(connector, origin, TIMEOUT)),
        dialled,
    )
}

/// The near end of a connection to an upstream that accepts `streams` calls at once, and answers none of them, or all
/// with 200. The connection ends with `end`.
fn upstream(streams: u32, answers: bool, end: CancellationToken) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let service = service_fn(move |_| async move {
        if !answers {
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"words"))))
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(streams);
    let serving = builder.serve_connection(TokioIo::new(far), service);
    tokio::spawn(async move {
        tokio::select! {
            _ = serving => {}
            () = end.cancelled() => {}
        }
    });
    near
}

async fn call(
    client: Client,
) -> Result<Response<GuardBody<Incoming, UpstreamPermit>>, ForwardError> {
    let uri = Uri::from_static("http://10.0.0.1:4042/a.B/C");
    client
        .send(
            Request::post("http://h/a.B/C").body(Empty::new()).unwrap(),
            &uri,
        )
        .await
}

#[test]
fn the_authority_is_the_clients_without_user_and_password() {
    let upstream = Uri::from_static("https://10.0.0.1:4042/a.B/C?x");
    for (client, kept) in [
        ("http://h:1/a.B/C?x", "https://h:1/a.B/C?x"),
        ("http://u:p@h:1/a.B/C?x", "https://h:1/a.B/C?x"),
        ("/a.B/C?x", "https://10.0.0.1:4042/a.B/C?x"),
    ] {
        assert_eq!(keep_authority(&client.parse().unwrap(), &upstream), kept);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_to_an_upstream_that_says_nothing_fail_together_after_one_timeout() {
    let silent = Mutex::new(Vec::new());
    let (client, dialled) = client(move |_| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        silent.lock().unwrap().push(far);
        Ok(near)
    });
    for attempt in 1..=2 {
        let started = Instant::now();
        let calls: Vec<_> = (0..10)
            .map(|_| tokio::spawn(call(client.clone())))
            .collect();
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!(error.kind().unwrap().as_str(), "timeout", "{error}");
        }
        assert_eq!(started.elapsed(), TIMEOUT);
        assert_eq!(
            dialled.load(Relaxed),
            attempt,
            "one attempt for all, and a new one later"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_goes_on_when_the_call_that_began_it_is_given_up() {
    let silent = Mutex::new(Vec::new());
    let (client, _) = client(move |number| match number {
        0 => {
            let (near, far) = tokio::io::duplex(64 * 1024);
            silent.lock().unwrap().push(far);
            Ok(near)
        }
        _ => Ok(upstream(10, true, CancellationToken::new())),
    });
    let first = tokio::spawn(call(client.clone()));
    tokio::task::yield_now().await;
    let second = tokio::spawn(call(client));
    tokio::task::yield_now().await;
    first.abort();
    assert!(second.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_speaks_http_1_is_an_error_at_once() {
    let (client, _) = client(|_| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut far = far;
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut far, answer)
                .await
                .unwrap();
            std::future::pending::<()>().await;
        });
        Ok(near)
    });
    let started = Instant::now();
    let error = call(client).await.unwrap_err();
    assert_eq!(error.kind().unwrap().as_str(), "reset", "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_ended_is_replaced() {
    let end = CancellationToken::new();
    let first_end = end.clone();
    let (client, dialled) = client(move |number| {
        let end = match number {
            0 => first_end.clone(),
            _ => CancellationToken::new(),
        };
        Ok(upstream(10, true, end))
    });
    let started = Instant::now();
    for _ in 0..2 {
        assert!(call(client.clone()).await.is_ok());
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(dialled.load(Relaxed), 1);
    end.cancel();
    // The client learns of the end when it polls the connection.
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(call(client).await.is_ok());
    assert_eq!(dialled.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_upstreams_streams_wait_and_are_then_refused() {
    let (client, dialled) = client(|_| Ok(upstream(2, false, CancellationToken::new())));
    let open: Vec<_> = (0..2).map(|_| tokio::spawn(call(client.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let started = Instant::now();
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(call(client.clone()))).collect();
    for call in waiting {
        let error = call.await.unwrap().unwrap_err();
        assert!(
            matches!(error, ForwardError::Saturated(UpstreamLimit::GrpcCalls)),
            "{error}"
        );
    }
    assert_eq!(started.elapsed(), TIMEOUT);
    assert!(
        open.iter().all(|call| !call.is_finished()),
        "open calls have no limit on their response"
    );

    // A call that is given up makes room.
    let next = tokio::spawn(call(client.clone()));
    open[0].abort();
    tokio::time::sleep(TIMEOUT * 2).await;
    assert!(!next.is_finished());
    assert_eq!(dialled.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_holds_its_stream_until_it_has_ended() {
    let (client, _) = client(|_| Ok(upstream(1, true, CancellationToken::new())));
    let response = call(client.clone()).await.unwrap();
    let second = tokio::spawn(call(client));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!second.is_finished());
    drop(response);
    assert!(second.await.unwrap().is_ok());
}
