//! Tests that read bodies of both framings from a socket.

use tokio::net::TcpListener;

use super::*;
use crate::{tls, wire::Bodies};

/// The result of reading a body from `bytes`.
async fn read(bytes: Vec<u8>, framing: Framing, look: Look) -> io::Result<(Arrived, Wire)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = Wire::connect(listener.local_addr()?, None).await?;
    let mut server = Wire::accept(listener.accept().await?.0, None).await?;
    let send = async move { client.send(&bytes).await };
    let (sent, arrived) = tokio::join!(send, server.body(framing, look));
    sent?;
    Ok((arrived?, server))
}

fn body(number: u64, size: usize) -> Vec<u8> {
    let bodies = Bodies::new(size);
    [bodies.stamp(number).as_slice(), bodies.rest()].concat()
}

#[tokio::test]
async fn a_body_is_known_by_its_stamp_however_it_is_looked_at() {
    for look in [Look::Stamp, Look::Whole, Look::Slowly(1e12)] {
        let bytes = [body(7, 100_000).as_slice(), b"GET"].concat();
        let (arrived, wire) = read(bytes, Framing::Exactly(100_000), look).await.unwrap();
        assert_eq!(arrived.stamp.unwrap().number, 7);
        assert_eq!((arrived.bytes, arrived.damaged), (100_000, false));
        assert!(
            b"GET".starts_with(&wire.ahead),
            "nothing of the next message is lost"
        );
    }
}

#[tokio::test]
async fn one_changed_byte_is_seen_where_every_byte_is_looked_at() {
    let mut bytes = body(7, 5_000);
    bytes[4_999] ^= 1;
    let (arrived, _) = read(bytes, Framing::Exactly(5_000), Look::Whole)
        .await
        .unwrap();
    assert!(arrived.damaged);
}

#[tokio::test]
async fn a_body_of_another_length_than_it_was_sent_with_is_damaged() {
    let (arrived, _) = read(body(7, 5_000), Framing::Exactly(4_000), Look::Stamp)
        .await
        .unwrap();
    assert!(arrived.damaged);
}

#[tokio::test]
async fn chunks_are_put_together() {
    let body = body(9, 40);
    let (first, second) = body.split_at(10);
    let bytes = [
        b"a\r\n",
        first,
        b"\r\n1E;x=y\r\n",
        second,
        b"\r\n0\r\nT: v\r\n\r\n",
    ]
    .concat();
    let (arrived, wire) = read(bytes, Framing::Chunked, Look::Whole).await.unwrap();
    assert_eq!(arrived.stamp.unwrap().number, 9);
    assert_eq!((arrived.bytes, arrived.damaged), (40, false));
    assert!(wire.ahead.is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let broken = read(body(7, 50), Framing::Exactly(60), Look::Stamp).await;
    assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_body_arrives_over_tls_and_the_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    tls::write(folder.path()).unwrap();
    let clients = tls::client(folder.path()).unwrap();
    let servers = tls::server(folder.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let client = async {
        let mut wire = Wire::connect(to, Some(&clients)).await?;
        let body = body(7, 100_000);
        wire.send_all(&[&body[..16], b"", &body[16..]]).await?;
        wire.close().await
    };
    let server = async {
        let mut wire = Wire::accept(listener.accept().await?.0, Some(&servers)).await?;
        let arrived = wire.body(Framing::Exactly(100_000), Look::Stamp).await?;
        Ok::<_, io::Error>((arrived, wire.request_head().await?))
    };
    let (sent, arrived) = tokio::join!(client, server);
    sent.unwrap();
    let (arrived, next) = arrived.unwrap();
    assert_eq!(
        (arrived.bytes, arrived.damaged, next),
        (100_000, false, None)
    );
    assert_eq!(arrived.stamp.unwrap().number, 7);
}
