use std::net::Ipv4Addr;

use pyrotee_admin::json::status::StatusPage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const PAGE: &str = r#"{"version":"9.9.9","started":"","time":"","targets":[],"later":{"x":[1]}}"#;

/// Asks for the status at a stand-in that sends one response. Returns the request that the stand-in received,
/// and the result.
async fn ask(status: &str, body: &str) -> (String, anyhow::Result<JsonResponse<StatusPage>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let serving = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let length = socket.read(&mut request).await.unwrap();
        socket.write_all(response.as_bytes()).await.unwrap();
        request.truncate(length);
        String::from_utf8(request).unwrap()
    };
    let relay = RelayClient::at(&format!("http://{address}/base")).unwrap();
    tokio::join!(serving, relay.status())
}

#[tokio::test]
async fn a_newer_relay_is_understood() {
    let (request, response) = ask("200 OK", PAGE).await;
    assert!(
        request.starts_with("GET /base/api/v1/status HTTP/1.1\r\n"),
        "{request}"
    );
    let response = response.unwrap();
    assert_eq!(response.json, PAGE, "as it came");
    assert_eq!(response.value.version, "9.9.9");
}

#[tokio::test]
async fn an_answer_of_something_else_names_the_option() {
    for (status, body) in [
        ("404 Not Found", "no"),
        ("302 Found", ""),
        ("200 OK", "<html>a\u{1b}[2J</html>"),
        ("200 OK", "{\"targets\":\"\u{9b}2J\"}"),
        ("200 OK", "{}"),
        (
            "200 OK",
            "{\"unknown\":\"raw \u{1b}\",\"version\":\"1\",\"started\":\"\",\"time\":\"\",\"targets\":[]}",
        ),
        ("nonsense", ""),
    ] {
        let (_, response) = ask(status, body).await;
        let error = format!("{:#}", response.unwrap_err());
        assert!(error.contains("(--admin)"), "{status} {body}: {error}");
        assert!(error.contains("127.0.0.1"), "{status} {body}: {error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[tokio::test]
async fn what_hangs_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = RelayClient::at(&listener.local_addr().unwrap().to_string()).unwrap();
    let accepting = async {
        let held = listener.accept().await.unwrap();
        tokio::time::pause();
        held
    };
    let (_held, response) = tokio::join!(accepting, relay.status());
    let error = response.unwrap_err().to_string();
    assert!(
        error.starts_with("no response from http://127.0.0.1:"),
        "{error}"
    );
    assert!(error.contains("within 5s"), "{error}");
}
