use std::net::Ipv4Addr;

use pyrotee_admin::json::reload::{ReloadReport, ReloadResult};
use pyrotee_admin::json::status::StatusPage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const PAGE: &str = r#"{"version":"9.9.9","started":"","time":"","targets":[],"later":{"x":[1]}}"#;

/// Asks for the status at a stand-in that sends one response. Returns the request that the stand-in received,
/// and the result.
async fn ask(status: &str, body: &str) -> (String, anyhow::Result<JsonResponse<StatusPage>>) {
    let ask = async |relay: RelayClient| relay.status().await;
    ask_with(status, body, ask).await
}

async fn reload(status: &str, body: &str) -> (String, anyhow::Result<ReloadReport>) {
    let ask = async |relay: RelayClient| relay.reload().await;
    ask_with(status, body, ask).await
}

async fn ask_with<T>(
    status: &str,
    body: &str,
    ask: impl AsyncFnOnce(RelayClient) -> anyhow::Result<T>,
) -> (String, anyhow::Result<T>) {
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
    let relay = RelayClient::at(&format!("http://{address}/base"), |_| Ok(None)).unwrap();
    tokio::join!(serving, ask(relay))
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
    let relay = RelayClient::at(&listener.local_addr().unwrap().to_string(), |_| Ok(None)).unwrap();
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

#[tokio::test]
async fn a_reload_has_a_report_whether_the_configuration_is_good_or_not() {
    let report = |result: &str, faults: &str| {
        format!(
            r#"{{"result":"{result}","hash":"a","changes":[],"targets":[],"restart_required":[],"faults":[{faults}],"stale_files":[],"later":1}}"#
        )
    };
    let (request, good) = reload("200 OK", &report("changed", "")).await;
    assert!(
        request.starts_with("POST /base/-/reload HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(good.unwrap().result, ReloadResult::Changed);
    let refused = report("refused", r#""listen: is no address""#);
    let (_, bad) = reload("400 Bad Request", &refused).await;
    let bad = bad.unwrap();
    assert_eq!(bad.result, ReloadResult::Refused);
    assert_eq!(bad.faults, ["listen: is no address"]);
}

#[tokio::test]
async fn a_relay_that_does_not_reload_is_an_error() {
    for (status, body, text) in [
        (
            "401 Unauthorized",
            r#"{"error":"this needs the token"}"#,
            "needs the token",
        ),
        (
            "503 Service Unavailable",
            r#"{"error":"starting"}"#,
            ": starting",
        ),
        (
            "400 Bad Request",
            r#"{"error":"who are you?"}"#,
            "who are you?",
        ),
        ("400 Bad Request", "<html>", "(--admin)"),
        // An older relay.
        ("404 Not Found", "not found", "(--admin)"),
    ] {
        let (_, result) = reload(status, body).await;
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains(text), "{status}: {error}");
    }
}
