//! Connections that switch to another protocol, and connections that must not.

use crate::support::{Answer, Request, Rig, Upstream};

#[test]
fn an_upgraded_connection_is_a_tunnel_in_both_directions() {
    let rig = Rig::verbatim(Upstream::answering(Answer::upgrade("websocket")));
    let mut client = rig.client();
    let request = Request::get("/ws")
        .field("Connection", "keep-alive, Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = client.exchange(&request);
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.head.get("upgrade"), Some("websocket".to_owned()));
    let connection = answer
        .head
        .get("connection")
        .expect("an upgrade is hop by hop");
    assert!(connection.eq_ignore_ascii_case("upgrade"), "{connection}");
    let arrived = rig.upstream.only();
    assert_eq!(arrived.head.get("upgrade"), Some("websocket".to_owned()));
    let connection = arrived
        .head
        .get("connection")
        .expect("an upgrade is hop by hop");
    assert!(connection.eq_ignore_ascii_case("upgrade"), "{connection}");

    for words in ["hello", "again", "and again"] {
        client.send(words.as_bytes());
        let mut echo = Vec::new();
        while echo.len() < words.len() {
            let bytes = client.wire().some(64).unwrap();
            assert!(!bytes.is_empty(), "the tunnel closed after {echo:?}");
            echo.extend_from_slice(&bytes);
        }
        assert_eq!(echo, words.to_uppercase().as_bytes());
    }
    // When one side closes, the relay closes the other side.
    client.wire().finish().unwrap();
    assert!(client.wire().closed());
}

#[test]
fn an_upgrade_the_upstream_declines_is_an_ordinary_answer() {
    let rig = Rig::verbatim(Upstream::ok());
    let mut client = rig.client();
    let upgrade = Request::get("/ws")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    assert_eq!(client.exchange(&upgrade).status(), 200);
    assert_eq!(client.exchange(&Request::get("/next")).status(), 200);
}

#[test]
fn an_upgrade_to_h2c_is_stripped() {
    // The tunnel would carry profiles past the tee.
    let rig = Rig::verbatim(Upstream::ok());
    for protocol in ["h2c", "H2C", "h2c, websocket"] {
        let request = Request::profile("app", b"profile")
            .field("Connection", "Upgrade, HTTP2-Settings")
            .field("Upgrade", protocol)
            .field("HTTP2-Settings", "AAMAAABkAAQAAP__");
        assert_eq!(rig.send(&request).status(), 200, "{protocol}");
    }
    for request in rig.upstream.wait_for(3, crate::support::SOON) {
        let upgrade = request.head.all("upgrade").join(", ").to_lowercase();
        assert!(!upgrade.contains("h2c"), "{}", request.head.text());
        assert!(
            !request.head.has("http2-settings"),
            "{}",
            request.head.text()
        );
    }
    assert_eq!(rig.settled(3).sent.profiles, 3);
}
