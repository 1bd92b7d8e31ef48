use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pyrotee_tls::testing::{Authority, Pair, ca};
use pyrotee_tls::{Alpn, ClientAuth, ClientTlsSettings, HandshakeErrorKind, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Duration;
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::server::{ConnectionTimeouts, Deadlines, TimedIo};

const HOST: &str = "relay.example";

/// A listener, and a client that is connected to it.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

type Shaken = (
    std::io::Result<client::TlsStream<TcpStream>>,
    Result<Option<ClientStream>, HandshakeError>,
);

async fn shake(acceptor: &TlsAcceptor, settings: &ClientTlsSettings) -> Shaken {
    let (client, socket) = connected().await;
    let tls = settings.tls();
    let name = tls.server_name(HOST).unwrap();
    let connector = TlsConnector::from(tls.config(Alpn::Http1));
    let connecting = async {
        let mut stream = connector.connect(name, client).await?;
        // In TLS 1.3 a refusal arrives after the client's handshake.
        stream.write_all(b"x").await?;
        Ok(stream)
    };
    tokio::join!(connecting, acceptor.accept(socket))
}

#[tokio::test]
async fn a_client_without_tls_is_told_to_use_https() {
    let acceptor = TlsAcceptor::new(Pair::self_signed(&[HOST], false).server());
    let (mut client, socket) = connected().await;
    let talking = async {
        client
            .write_all(b"POST /ingest HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        client.write_all(&[7; 20_000]).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        response
    };
    let (response, accepted) = tokio::join!(talking, acceptor.accept(socket));
    assert!(
        response.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{response}"
    );
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{response}"
    );
    assert!(body.contains("https://"), "{body}");
    assert_eq!(accepted.unwrap_err().kind, HandshakeErrorKind::NotTls);
}

#[tokio::test]
async fn a_connection_without_a_byte_is_no_failure() {
    let acceptor = TlsAcceptor::new(Pair::self_signed(&[HOST], false).server());
    // Some balancers reset the connection of their probe instead of closing it.
    for resets in [false, true] {
        let (client, socket) = connected().await;
        if resets {
            client.set_zero_linger().unwrap();
        }
        drop(client);
        assert!(acceptor.accept(socket).await.unwrap().is_none());
    }
}

// Nothing happens on the sockets while the paused clock advances.
#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_has_ten_seconds() {
    let acceptor = TlsAcceptor::new(Pair::self_signed(&[HOST], false).server());
    let (_client, socket) = connected().await;
    let started = tokio::time::Instant::now();
    let error = acceptor.accept(socket).await.unwrap_err();
    assert_eq!(error.kind, HandshakeErrorKind::Timeout);
    assert_eq!(started.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn the_value_in_force_counts_for_the_next_connection() {
    let authority = Authority::new("root");
    let old = authority.issue(&[HOST]);
    let acceptor = TlsAcceptor::new(old.server());
    let before = acceptor.tls();
    acceptor.clone().set(old.server());
    assert!(Arc::ptr_eq(&before, &acceptor.tls()), "an equal value");

    let settings = ca(&authority.pem());
    let (client, accepted) = shake(&acceptor, &settings).await;
    assert!(client.is_ok() && accepted.unwrap().is_some());
    acceptor.set(Authority::new("other").issue(&[HOST]).server());
    let (client, accepted) = shake(&acceptor, &settings).await;
    assert!(client.is_err());
    assert_eq!(accepted.unwrap_err().kind, HandshakeErrorKind::Untrusted);
}

#[tokio::test]
async fn a_refused_client_hears_the_reason_and_an_accepted_one_is_known() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let pair = authority.issue(&[HOST]);
    let asking = |auth| TlsAcceptor::new(pair.asking(&authority.pem(), auth));
    let (required, requested) = (asking(ClientAuth::Require), asking(ClientAuth::Request));
    let none = ca(&authority.pem());
    let other = ca(&authority.pem()).showing(&stranger.issue(&["us"]));
    let ours = ca(&authority.pem()).showing(&authority.issue(&["us"]));
    for (acceptor, settings, expected) in [
        (&required, &none, Err(HandshakeErrorKind::NoCertificate)),
        (
            &required,
            &other,
            Err(HandshakeErrorKind::CertificateUnknownCa),
        ),
        (
            &requested,
            &other,
            Err(HandshakeErrorKind::CertificateUnknownCa),
        ),
        (&requested, &none, Ok(false)),
        (&requested, &ours, Ok(true)),
        (&required, &ours, Ok(true)),
    ] {
        let (client, socket) = connected().await;
        let tls = settings.tls();
        let connector = TlsConnector::from(tls.config(Alpn::Http1));
        let connecting = async {
            let name = tls.server_name(HOST).unwrap();
            let mut stream = connector.connect(name, client).await?;
            // More than the server reads before it refuses.
            stream.write_all(&[7; 10_000]).await?;
            stream.read(&mut [0]).await
        };
        let accepting = async {
            let accepted = acceptor.accept(socket).await;
            accepted.map(|stream| has_client_certificate(&stream.unwrap()))
        };
        let (heard, accepted) = tokio::join!(connecting, accepting);
        let accepted = accepted.map_err(|error| error.kind);
        assert_eq!(accepted, expected);
        if accepted.is_err() {
            let heard = heard.unwrap_err();
            assert!(pyrotee_tls::tls_error(&heard).is_some(), "{heard}");
        }
    }
}

#[tokio::test]
async fn an_end_that_is_not_announced_is_an_end() {
    let authority = Authority::new("root");
    let tls: ServerTls = authority.issue(&[HOST]).server();
    let acceptor = TlsAcceptor::new(tls);
    let (client, accepted) = shake(&acceptor, &ca(&authority.pem())).await;
    // Without TLS' closing message.
    let (mut socket, _) = client.unwrap().into_inner();
    socket.shutdown().await.unwrap();
    let deadline = Duration::from_secs(10);
    let deadlines = Deadlines {
        head: deadline,
        idle: deadline,
        write: deadline,
    };
    let timeouts = Arc::new(ConnectionTimeouts::new(deadlines));
    let limit = Arc::new(AtomicU64::new(u64::MAX));
    let mut io = TimedIo::new(accepted.unwrap().unwrap(), timeouts, limit, ());
    let mut read = Vec::new();
    io.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"x");
}
