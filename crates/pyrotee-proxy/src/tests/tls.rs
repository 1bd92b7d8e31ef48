//! TLS of the clients, and TLS to the upstream.

use hyper::client::conn::{http1 as h1, http2 as h2};
use hyper_util::rt::TokioExecutor;
use pyrotee_tls::testing::{Authority, Pair, ca};
use pyrotee_tls::{Alpn, ClientAuth, ClientTlsSettings, ServerTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

const HOST: &str = "pyroscope.example";

/// A proxy with TLS for its clients, and an upstream without.
fn listening(tls: &TlsAcceptor) -> Relay {
    let upstream = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&upstream);
    let connector = Connector::in_process(move || Ok(open_upstream(&seen)));
    let origin = Uri::from_static("http://10.0.0.1:4042");
    Relay::between(Some(tls.clone()), Some(connector), origin, upstream)
}

async fn connect(
    relay: &Relay,
    settings: &ClientTlsSettings,
    alpn: Alpn,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tls = settings.tls();
    let connector = TlsConnector::from(tls.config(alpn));
    let socket = TcpStream::connect(relay.address).await?;
    connector
        .connect(tls.server_name(HOST).unwrap(), socket)
        .await
}

fn request(query: &str) -> Request<Full<Bytes>> {
    let uri = format!("https://{HOST}/render?{query}");
    Request::get(uri).body(Full::default()).unwrap()
}

async fn over_http1(relay: &Relay, settings: &ClientTlsSettings) -> Response<Incoming> {
    let stream = connect(relay, settings, Alpn::Http1).await.unwrap();
    let (mut requests, connection) = h1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    requests.send_request(request("a")).await.unwrap()
}

#[tokio::test]
async fn clients_speak_either_version_of_http_over_tls() {
    let authority = Authority::new("root");
    let acceptor = TlsAcceptor::new(authority.issue(&[HOST]).server());
    let (relay, trusting) = (listening(&acceptor), ca(&authority.pem()));
    let response = over_http1(&relay, &trusting).await;
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, http::Version::HTTP_11)
    );
    assert_eq!(response.headers()["x-forwarded-proto"], "https");

    let stream = connect(&relay, &trusting, Alpn::H2).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let handshake = h2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut requests, connection) = handshake.unwrap();
    let connection = tokio::spawn(connection);
    let response = requests.send_request(request("b")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, http::Version::HTTP_2)
    );
    assert_eq!(response.headers()["x-forwarded-proto"], "https");
    drop(response);
    relay.stop().await;
    // GOAWAY.
    timeout(PATIENCE, connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_holds_up_nobody() {
    let authority = Authority::new("root");
    let acceptor = TlsAcceptor::new(authority.issue(&[HOST]).server());
    let relay = listening(&acceptor);
    let silent = TcpStream::connect(relay.address).await.unwrap();
    let mut plain = relay.connect().await;
    plain.send_head("a", 0, "").await;
    assert_eq!(plain.response().await.unwrap(), 400);
    let response = over_http1(&relay, &ca(&authority.pem())).await;
    assert_eq!(response.status().as_u16(), 200);
    // A handshake that has not ended does not hold up the end either.
    timeout(PATIENCE / 4, relay.stop()).await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn the_certificate_in_force_is_shown_to_the_next_client() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let acceptor = TlsAcceptor::new(old.issue(&[HOST]).server());
    let relay = listening(&acceptor);
    let stream = connect(&relay, &ca(&old.pem()), Alpn::Http1).await.unwrap();
    acceptor.set(new.issue(&[HOST]).server());
    // A connection that is open goes on.
    let (mut requests, connection) = h1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        requests.ready().await.unwrap();
        let response = requests.send_request(request("a")).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    connect(&relay, &ca(&old.pem()), Alpn::Http1)
        .await
        .unwrap_err();
    over_http1(&relay, &ca(&new.pem())).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_the_response() {
    let authority = Authority::new("root");
    let acceptor = TlsAcceptor::new(authority.issue(&[HOST]).server());
    let relay = listening(&acceptor);
    let mut stream = connect(&relay, &ca(&authority.pem()), Alpn::Http1)
        .await
        .unwrap();
    stream
        .write_all(b"GET /render HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut response = Vec::new();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut response));
    reading.await.unwrap().unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200"));
    relay.stop().await;
}

/// A proxy without TLS for its clients, in front of an upstream that demands a certificate of `authority`. Also returns
/// the certificates that it was shown.
fn demanding(authority: &Authority, ours: &Pair) -> (Relay, Arc<Mutex<Vec<Vec<u8>>>>) {
    let upstream = Arc::<Mutex<Vec<String>>>::default();
    let shown = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let (seen, certificates) = (Arc::clone(&upstream), Arc::clone(&shown));
    let tls: ServerTls = authority
        .issue(&[HOST])
        .asking(&authority.pem(), ClientAuth::Require);
    let connector = Connector::in_process(move || {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (seen, certificates) = (Arc::clone(&seen), Arc::clone(&certificates));
        let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
        tokio::spawn(async move {
            let Ok(far) = acceptor.accept(far).await else {
                return;
            };
            let leaf = &far.get_ref().1.peer_certificates().unwrap()[0];
            certificates.lock().unwrap().push(leaf.to_vec());
            serve_upstream(far, seen).await;
        });
        Ok(near)
    });
    let connector = connector.with_tls(ca(&authority.pem()).showing(ours).tls());
    let origin = Uri::from_static("https://pyroscope.example");
    (
        Relay::between(None, Some(connector), origin, upstream),
        shown,
    )
}

#[tokio::test]
async fn another_certificate_is_shown_to_the_upstream_by_the_next_request_and_fails_none() {
    let authority = Authority::new("root");
    let (old, new) = (authority.issue(&["old"]), authority.issue(&["new"]));
    let (relay, shown) = demanding(&authority, &old);
    let handle = relay.upstream_tls.clone().unwrap();
    let set = |pair: &Pair| handle.set(&ca(&authority.pem()).showing(pair).tls());
    let mut client = relay.connect().await;
    for _ in 0..2 {
        client.send_head("a", 0, "").await;
        assert_eq!(client.response().await.unwrap(), 200);
        set(&old);
    }
    assert_eq!(
        shown.lock().unwrap().len(),
        1,
        "equal TLS keeps the connection"
    );
    assert!(
        handle
            .tls()
            .unwrap()
            .observer()
            .server_not_after()
            .is_some()
    );

    // In the middle of a request.
    let mut slow = relay.connect().await;
    slow.begin("slow", 10).await;
    set(&new);
    client.send_head("b", 0, "").await;
    assert_eq!(client.response().await.unwrap(), 200);
    slow.send_body(10).await.unwrap();
    assert_eq!(slow.response().await.unwrap(), 200);
    client.send_head("c", 0, "").await;
    assert_eq!(client.response().await.unwrap(), 200);
    let shown = shown.lock().unwrap().clone();
    let (first, last) = (shown.first().unwrap(), shown.last().unwrap());
    assert_ne!(first, last);
    assert_eq!(shown.iter().filter(|it| *it == last).count(), 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_certificate_that_the_upstream_refuses_is_a_502_that_says_so() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let (relay, _shown) = demanding(&authority, &stranger.issue(&["us"]));
    let mut client = relay.connect().await;
    client.send_head("a", 0, "").await;
    let (status, length) = client.read_head().await.unwrap();
    while client.read.len() < length {
        client.read_more().await.unwrap();
    }
    let body = String::from_utf8(client.read.clone()).unwrap();
    assert_eq!(status, 502);
    assert!(body.contains("does not know the authority"), "{body}");
    relay.stop().await;
}
