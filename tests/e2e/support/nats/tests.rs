//! Tests of the server and the client with each other: a faulty test kit proves nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Login, Nats};
use crate::support::poll::{SOON, eventually};

fn make_stream(nats: &Nats) {
    let config =
        json!({ "name": "s", "subjects": ["s.>"], "storage": "file", "retention": "workqueue" });
    let made = nats.api("STREAM.CREATE.s", &config);
    assert!(made["error"].is_null(), "{made}");
}

#[test]
fn a_store_and_an_address_outlive_a_kill() {
    for mut nats in [Nats::start(), Nats::old()] {
        let url = nats.url();
        make_stream(&nats);
        let stored = nats.connect().request("s.a", b"record");
        let stored: Value = serde_json::from_slice(&stored.payload).expect("an acknowledgement");
        assert_eq!(stored["seq"], 1, "{stored}");
        nats.kill();
        nats.restart();
        assert_eq!((nats.url(), nats.only_stream()), (url, "s".to_owned()));
        assert_eq!(nats.stored(), 1);
        assert_eq!(nats.consumers("s"), Vec::<Value>::new());
    }
}

#[test]
fn a_suspended_server_answers_once_it_is_resumed() {
    let nats = Nats::start();
    let mut connection = nats.connect();
    connection.subscribe("subject");
    connection.publish("subject", "", b"before");
    assert_eq!(
        connection.message(SOON).expect("a message").payload,
        b"before"
    );
    nats.suspend();
    connection.publish("subject", "", b"during");
    assert!(connection.message(Duration::from_millis(300)).is_none());
    nats.resume();
    let message = connection.message(SOON).expect("a message");
    assert_eq!(
        (message.subject.as_str(), &*message.payload),
        ("subject", &b"during"[..])
    );
}

#[test]
fn logins_are_checked_and_a_configuration_is_read_again() {
    let nats = Nats::with("authorization { token: one }", Login::Token("one"));
    assert_eq!(nats.streams(), Vec::<String>::new());
    nats.configure("authorization { users: [ { user: u, password: p } ] }");
    nats.reload();
    eventually(SOON, "the other login", || {
        nats.log().contains("Reloaded server configuration")
    });
    let mut nats = nats;
    nats.login = Login::User("u", "p");
    assert_eq!(nats.streams(), Vec::<String>::new());
}
