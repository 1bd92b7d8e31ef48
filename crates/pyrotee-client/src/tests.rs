use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use pyrotee_net::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::exchange::{BodyError, BoundedResponse, RequestError};
use super::http::{Connections, ExchangeLimits, HttpClient};

const LIMITS: ExchangeLimits = ExchangeLimits {
    timeout: Duration::from_secs(5),
    body_bytes: 4,
};

async fn respond(stream: &mut TcpStream, response: &str) {
    let mut request = [0; 1024];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    stream.write_all(response.as_bytes()).await.unwrap();
}

/// Sends a request twice, once by hyper and once as raw bytes, to a server that sends `response` and closes the
/// connection.
async fn exchanges(response: &str) -> [Result<BoundedResponse, RequestError>; 2] {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let address = Address::parse(&uri).unwrap().address;
    let client = HttpClient::new(address, Connections::OnePerRequest, None).unwrap();
    let serving = async {
        for _ in 0..2 {
            respond(&mut listener.accept().await.unwrap().0, response).await;
        }
    };
    let exchanging = async {
        let request = Request::get(uri).body(Full::default()).unwrap();
        let raw = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        [
            client.send(request, LIMITS).await,
            client.send_raw(raw, LIMITS).await,
        ]
    };
    tokio::join!(exchanging, serving).0
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit() {
    for (length, body, read, whole) in [
        (4, "abcd", "abcd", true),
        (5, "abcde", "abcd", false),
        (0, "", "", true),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        for exchanged in exchanges(&response).await {
            let response = exchanged.unwrap();
            assert_eq!(response.body, read);
            match response.body_error {
                None => assert!(whole, "{body}"),
                Some(error) => assert!(!whole && matches!(error, BodyError::TooLong(4))),
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_its_status_and_its_start() {
    for exchanged in exchanges("HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nab").await {
        let response = exchanged.unwrap();
        assert_eq!(
            (response.status.as_u16(), &*response.body),
            (503, &b"ab"[..])
        );
        assert!(matches!(response.body_error, Some(BodyError::Broken(_))));
    }
}

#[tokio::test]
async fn something_else_than_http_is_an_error_of_its_own() {
    for exchanged in exchanges("220 smtp\r\n").await {
        let error = exchanged.unwrap_err();
        assert!(matches!(error, RequestError::Broken(_)), "{error}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_upload_if_it_shall_be() {
    for (connections, opened) in [(Connections::KeptAlive, 1), (Connections::OnePerRequest, 2)] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let address = Address::parse(&uri).unwrap().address;
        let client = HttpClient::new(address, connections, None).unwrap();
        let serving = async {
            let mut accepted = 0;
            let mut responses = 0;
            while responses < 2 {
                let mut stream = listener.accept().await.unwrap().0;
                accepted += 1;
                let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                let mut request = [0; 1024];
                while responses < 2 && stream.read(&mut request).await.unwrap_or(0) > 0 {
                    stream.write_all(empty.as_bytes()).await.unwrap();
                    responses += 1;
                }
            }
            accepted
        };
        let sending = async {
            for _ in 0..2 {
                let request = Request::post(&uri).body(Full::<Bytes>::default()).unwrap();
                client.send(request, LIMITS).await.unwrap();
            }
        };
        let (accepted, ()) = tokio::join!(serving, sending);
        assert_eq!(accepted, opened, "{connections:?}");
    }
}
