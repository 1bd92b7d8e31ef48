//! Tests of the stand-in and the client with each other: a faulty test kit proves nothing.

use std::time::Duration;

use super::{
    client::{self, Client, Request},
    key::Key,
    metrics::Metrics,
    poll::SOON,
    ports::Refusing,
    upstream::{Answer, End, Upstream},
};

#[test]
fn a_sized_request_is_kept_byte_for_byte() {
    let upstream = Upstream::answering(Answer::with(200, &[("x-A", "b")], b"done"));
    let request = Request::post("/ingest?name=a%7Bb%3Dc%7D&&x", b"body").field("cOOKIE", "a");
    let answer = client::send(upstream.address(), &request);
    assert_eq!(
        answer.head.raw(),
        b"HTTP/1.1 200 OK\r\nx-A: b\r\nContent-Length: 4\r\n\r\n"
    );
    assert_eq!(answer.body.data, b"done");
    let arrived = upstream.only();
    assert_eq!(arrived.head.raw(), request.head());
    assert_eq!(arrived.head.query(), "name=a%7Bb%3Dc%7D&&x");
    assert_eq!(Key::of(&arrived.head.query()), Key::new("a", &[("b", "c")]));
    assert_eq!(arrived.body.data, b"body");
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let upstream = Upstream::answering(Answer::chunked(&[b"ab", b"c"], &[("X-Sum", "6")]));
    let request = Request::chunked("/x", &[b"12", b"345"], &[("X-End", "yes")]);
    let mut client = Client::connect(upstream.address());
    for _ in 0..2 {
        let answer = client.exchange(&request);
        assert_eq!(answer.body.data, b"abc");
        assert_eq!(answer.body.trailers, [("X-Sum".to_owned(), "6".to_owned())]);
    }
    let requests = upstream.wait_for(2, SOON);
    assert_eq!(requests[1].body.data, b"12345");
    assert_eq!(
        requests[1].body.trailers,
        [("X-End".to_owned(), "yes".to_owned())]
    );
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_body_that_ends_early_is_told_from_a_whole_one() {
    let upstream = Upstream::ok();
    let request = Request::post("/ingest", &[7; 100]);
    let mut client = Client::connect(upstream.address());
    client.send(&request.bytes()[..request.head().len() + 60]);
    drop(client);
    upstream.wait_until(SOON, "an aborted request", |requests| {
        requests
            .iter()
            .any(|r| r.end == End::Aborted && r.body.data.len() == 60)
    });
    assert!(upstream.requests().is_empty());
}

#[test]
fn resets_and_silent_closes_end_the_connection_without_an_answer() {
    for answer in [
        Answer::hang_up(),
        Answer::raw(b"").reset(),
        Answer::raw(b"").unread().close(),
    ] {
        let upstream = Upstream::answering(answer);
        let mut client = Client::connect(upstream.address());
        client.send(&Request::post("/x", b"y").bytes());
        assert!(client.try_receive("POST").is_none());
    }
}

#[test]
fn an_early_answer_comes_before_the_body() {
    let upstream = Upstream::answering(Answer::status(413, b"no").early());
    let request = Request::post("/x", b"late");
    let mut client = Client::connect(upstream.address());
    assert_eq!(client.send(&request.head()).receive().status(), 413);
    client.send(b"late");
    assert_eq!(upstream.only().body.data, b"late");
}

#[test]
fn an_upgraded_connection_echoes() {
    let upstream = Upstream::answering(Answer::upgrade("shout"));
    let mut client = Client::connect(upstream.address());
    let answer = client.exchange(&Request::get("/ws").field("Upgrade", "shout"));
    assert_eq!(answer.status(), 101);
    client.send(b"hello");
    assert_eq!(client.wire().some(64).unwrap(), b"HELLO");
}

#[test]
fn a_reserved_port_refuses() {
    let port = Refusing::new();
    let address = port.url().trim_start_matches("http://").to_owned();
    let error = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_stopped_stand_in_can_be_replaced_at_its_address() {
    let first = Upstream::ok();
    let mut client = Client::connect(first.address());
    assert_eq!(client.exchange(&Request::get("/")).status(), 200);
    let address = first.stop();
    assert!(client.wire().closed());
    let second = Upstream::at(&address.to_string(), |_| Answer::ok().after(Duration::ZERO));
    assert_eq!(
        client::send(second.address(), &Request::get("/")).status(),
        200
    );
}

#[test]
fn metrics_are_read_with_their_labels() {
    let text = "# TYPE a counter\na{target=\"x\",reason=\"q,\\\"}\"} 3\na{target=\"y\"} 4\nb 1.5\n";
    let metrics = Metrics::parse(text);
    assert_eq!(metrics.kind("a"), Some("counter"));
    assert_eq!(metrics.value("a", &[("reason", "q,\"}")]), Some(3.0));
    assert_eq!(metrics.sum("a", &[]), 7.0);
    assert_eq!(metrics.value("b", &[]), Some(1.5));
    assert_eq!(metrics.value("c", &[]), None);
}
