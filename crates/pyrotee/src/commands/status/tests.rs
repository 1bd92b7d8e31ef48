use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const PAGE: &str = r#"{"version":"9.9.9","started":"","time":"","targets":[],"later":{"x":[1]}}"#;

/// Asks a stand-in that gives one answer; what it was asked, and what came of it.
async fn ask(status: &str, body: &str) -> (String, anyhow::Result<Answer<StatusPage>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let serving = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let length = socket.read(&mut request).await.unwrap();
        socket.write_all(answer.as_bytes()).await.unwrap();
        request.truncate(length);
        String::from_utf8(request).unwrap()
    };
    let relay = Relay::at(&format!("http://{address}/base")).unwrap();
    tokio::join!(serving, relay.get(PATH))
}

#[tokio::test]
async fn a_newer_relay_is_understood() {
    let (request, answer) = ask("200 OK", PAGE).await;
    assert!(
        request.starts_with("GET /base/api/v1/status HTTP/1.1\r\n"),
        "{request}"
    );
    let answer = answer.unwrap();
    assert_eq!(answer.json, PAGE, "as it came");
    assert_eq!(answer.value.version, "9.9.9");
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
        let (_, answer) = ask(status, body).await;
        let error = format!("{:#}", answer.unwrap_err());
        assert!(error.contains("(--admin)"), "{status} {body}: {error}");
        assert!(error.contains("127.0.0.1"), "{status} {body}: {error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[tokio::test]
async fn what_hangs_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = Relay::at(&listener.local_addr().unwrap().to_string()).unwrap();
    let accepting = async {
        let held = listener.accept().await.unwrap();
        tokio::time::pause();
        held
    };
    let (_held, answer) = tokio::join!(accepting, relay.get::<StatusPage>(PATH));
    let error = answer.unwrap_err().to_string();
    assert!(
        error.starts_with("no answer from http://127.0.0.1:"),
        "{error}"
    );
    assert!(error.contains("within 5s"), "{error}");
}

#[test]
fn an_interval_is_seconds_or_has_a_unit() {
    for (text, millis) in [("2", 2_000), ("0.5", 500), ("1m", 60_000), ("300ms", 300)] {
        assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "0", "0.01", "-1", "soon", "1ms"] {
        assert!(interval(text).is_err(), "{text}");
    }
}
