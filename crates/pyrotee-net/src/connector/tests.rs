//! Dials and exchanges over pipes, with real handshakes.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1;
use pyrotee_tls::ClientAuth;
use pyrotee_tls::testing::{Authority, Pair, ca};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::ExchangeErrorKind;

const HOST: &str = "target.example";

type Far = TlsStream<DuplexStream>;

/// A connector over pipes, whose far ends are served by `serve`.
fn pipes<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(DuplexStream) -> F + Send + Sync + 'static,
) -> Connector {
    Connector::in_process(move || {
        let (near, far) = duplex(64 * 1024);
        tokio::spawn(serve(far));
        Ok(near)
    })
}

/// A connector to a server that shakes hands with `server`, and goes on with `serve`.
fn tls_pipes<F: Future<Output = ()> + Send + 'static>(
    server: &pyrotee_tls::ServerTls,
    serve: impl Fn(Far) -> F + Clone + Send + Sync + 'static,
) -> Connector {
    let acceptor = TlsAcceptor::from(server.config());
    pipes(move |far| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            if let Ok(far) = acceptor.accept(far).await {
                serve(far).await;
            }
        }
    })
}

async fn hold(far: Far) {
    std::future::pending::<()>().await;
    drop(far);
}

async fn open(connector: &Connector) -> Result<Io, ExchangeError> {
    let origin = format!("https://{HOST}");
    connector.open(origin.parse().unwrap()).await
}

/// Sends a request with a body of `len` bytes, which gets no response.
async fn exchange(connector: &Connector, scheme: &str, len: usize) -> ExchangeError {
    let origin = format!("{scheme}://{HOST}").parse().unwrap();
    let io = connector.open(origin).await.unwrap();
    let state = io.inner().state().clone();
    let (mut requests, connection) = http1::handshake(io).await.unwrap();
    let driver = tokio::spawn(connection);
    let body = Full::new(Bytes::from(vec![7; len]));
    let sent = requests.send_request(Request::post("/").body(body).unwrap());
    let error = sent.await.unwrap_err();
    // Whoever asks first must know as much as whoever asks last.
    let error = ExchangeError::broken(&error, &state, true);
    drop(driver.await);
    error
}

#[track_caller]
fn assert_refused(error: &ExchangeError, text: &str) {
    assert_eq!(error.kind(), ExchangeErrorKind::Tls, "{error}");
    assert!(error.to_string().contains(text), "{error}");
    assert!(!error.is_written() && !error.is_stale() && !error.is_unanswered());
    assert_ne!(error.remedy(), ExchangeErrorKind::Tls.remedy());
}

#[tokio::test(start_paused = true)]
async fn an_https_address_is_dialled_with_tls_and_its_certificate_is_noted() {
    let authority = Authority::new("root");
    let server = authority.issue(&[HOST]).server();
    let tls = ca(&authority.pem()).tls();
    let connector = tls_pipes(&server, hold).with_tls(tls.clone());
    assert_eq!(tls.observer().server_not_after(), None);
    let io = open(&connector).await.unwrap();
    assert!(tls.observer().server_not_after().is_some());
    assert_eq!(connector.counts().open(), 1);
    drop(io);
    assert_eq!(
        (connector.counts().open(), connector.counts().opened()),
        (0, 1)
    );

    let plain = pipes(|far| async move {
        std::future::pending::<()>().await;
        drop(far);
    });
    let plain = plain.with_tls(tls);
    plain
        .open(format!("http://{HOST}").parse().unwrap())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_tls_counts_against_the_same_limit() {
    let authority = Authority::new("root");
    let server = authority.issue(&[HOST]).server();
    let first = tls_pipes(&server, hold).limited(1);
    let first = first.with_tls(ca(&authority.pem()).tls());
    let second = first.with_tls(
        ca(&authority.pem())
            .showing(&authority.issue(&["us"]))
            .tls(),
    );
    assert_ne!(first.tls(), second.tls());
    let kept = open(&first).await.unwrap();
    assert!(open(&second).await.unwrap_err().is_limit());
    drop(kept);
    let _kept = open(&second).await.unwrap();
    assert_eq!((first.counts().open(), first.counts().opened()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_shake_hands_fails_in_time() {
    let silent = pipes(|far| async move {
        std::future::pending::<()>().await;
        drop(far);
    });
    let started = Instant::now();
    let error = open(&silent.with_tls(ca(&Authority::new("root").pem()).tls())).await;
    let error = error.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert_eq!(error.kind(), ExchangeErrorKind::Timeout);
    assert!(
        error.is_connect() && error.to_string().contains("handshake"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_says_why() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let tls = || ca(&authority.pem()).tls();
    let unknown = tls_pipes(&stranger.issue(&[HOST]).server(), hold);
    let misnamed = tls_pipes(&authority.issue(&["other.example"]).server(), hold);
    let plain = pipes(|mut far| async move {
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    for (connector, text) in [
        (unknown, "signed by"),
        (misnamed, "other.example"),
        (plain, "answered without TLS"),
    ] {
        let error = open(&connector.with_tls(tls())).await.unwrap_err();
        assert_refused(&error, text);
        assert!(error.is_connect());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_within_the_handshake_is_no_refusal() {
    let authority = Authority::new("root");
    let closed = pipes(|far| async move { drop(far) });
    let closed = closed.with_tls(ca(&authority.pem()).tls());
    let error = open(&closed).await.unwrap_err();
    // The server may be restarting.
    assert_eq!(error.kind(), ExchangeErrorKind::Connect);
    assert!(
        error.to_string().contains("during the TLS handshake"),
        "{error}"
    );
    assert!(error.remedy().contains("TLS"), "{}", error.remedy());
    assert!(error.is_connect() && !error.is_written());
}

#[tokio::test(start_paused = true)]
async fn http2_needs_a_server_that_chooses_it() {
    let authority = Authority::new("root");
    let pair = authority.issue(&[HOST]);
    let of = |alpn: &[Alpn]| pyrotee_tls::ServerTls::build(&pair.settings(), alpn).unwrap();
    for (alpn, text) in [
        (&[][..], Some("no HTTP/2")),
        (&[Alpn::Http1], Some("no version of HTTP")),
        (&[Alpn::Http1, Alpn::H2], None),
    ] {
        let mut connector = tls_pipes(&of(alpn), hold).with_tls(ca(&authority.pem()).tls());
        connector.dialer.alpn = Alpn::H2;
        let opened = open(&connector).await;
        match text {
            Some(text) => assert_refused(&opened.unwrap_err(), text),
            None => drop(opened.unwrap()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_refused_after_the_handshake_is_told_whatever_the_size_of_the_request() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let server = authority.issue(&[HOST]);
    let server = server.asking(&authority.pem(), ClientAuth::Require);
    let none = ca(&authority.pem());
    let other = ca(&authority.pem()).showing(&stranger.issue(&["us"]));
    for (settings, text) in [
        (none, "wants a client certificate"),
        (other, "does not know the authority"),
    ] {
        for len in [0, 1_000, 100_000, 8_000_000] {
            let connector = tls_pipes(&server, hold).with_tls(settings.tls());
            assert_refused(&exchange(&connector, "https", len).await, text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_certificate_and_closes_without_an_answer_wanted_one() {
    let authority = Authority::new("root");
    let server = authority.issue(&[HOST]);
    let server = server.asking(&authority.pem(), ClientAuth::Request);
    let closing = |mut far: Far| async move {
        far.read_exact(&mut [0; 10]).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let without = tls_pipes(&server, closing).with_tls(ca(&authority.pem()).tls());
    let error = exchange(&without, "https", 0).await;
    assert_refused(&error, "asked for a client certificate");

    let ours = ca(&authority.pem()).showing(&authority.issue(&["us"]));
    let with = tls_pipes(&server, closing).with_tls(ours.tls());
    let error = exchange(&with, "https", 0).await;
    assert_eq!(error.kind(), ExchangeErrorKind::Reset);
    assert!(
        error.is_written(),
        "the server may have handled the request"
    );
}

#[tokio::test(start_paused = true)]
async fn http_to_a_tls_port_says_so() {
    let pair = Pair::self_signed(&[HOST], false);
    let acceptor = TlsAcceptor::from(pair.server().config());
    let connector = pipes(move |far| {
        let acceptor = acceptor.clone();
        async move { drop(acceptor.accept(far).await) }
    });
    for len in [0, 1_000_000] {
        assert_refused(&exchange(&connector, "http", len).await, "speaks TLS");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_tls_after_an_answer_may_concern_a_request_that_arrived() {
    let authority = Authority::new("root");
    let server = authority.issue(&[HOST]).server();
    let connector = tls_pipes(&server, |mut far: Far| async move {
        far.read_exact(&mut [0; 10]).await.unwrap();
        far.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .unwrap();
        far.flush().await.unwrap();
        // Otherwise the client reads both at once, and sees the failure alone.
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Not TLS, below TLS.
        far.get_mut().0.write_all(b"garbage").await.unwrap();
        hold(far).await;
    });
    let connector = connector.with_tls(ca(&authority.pem()).tls());
    let error = exchange(&connector, "https", 0).await;
    assert_eq!(error.kind(), ExchangeErrorKind::Reset, "{error}");
    assert!(error.is_written());
}
