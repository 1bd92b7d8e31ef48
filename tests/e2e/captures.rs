//! Captured requests of real SDKs, sent through the relay to the upstream and a target.

use std::time::Duration;

use crate::support::{Answer, Client, Head, Rig, SOON, Upstream, captures, key};

/// Header fields of a client that a target must never receive.
const PRIVATE: [&str; 6] = [
    "authorization",
    "x-scope-orgid",
    "cookie",
    "proxy-authorization",
    "x-extra",
    "x-forwarded-for",
];

#[test]
fn every_captured_profile_reaches_the_upstream_byte_for_byte() {
    let rig = Rig::verbatim(Upstream::ok());
    let captures = captures::to("/ingest");
    for (index, capture) in captures.iter().enumerate() {
        let answer = Client::connect(rig.relay.addr())
            .send(&capture.bytes)
            .receive();
        assert_eq!(
            answer.head.raw(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        );
        let arrived = &rig.upstream.wait_for(index + 1, SOON)[index];
        let expected = Head::new(&capture.end_to_end_head());
        assert_eq!(arrived.head.text(), expected.text(), "{}", capture.file);
        assert_eq!(arrived.head.raw(), expected.raw(), "{}", capture.file);
        assert_eq!(arrived.body.raw, capture.body, "{}", capture.file);
    }
}

#[test]
fn every_captured_push_reaches_the_upstream_byte_for_byte() {
    let rig = Rig::verbatim(Upstream::answering(Answer::with(
        200,
        &[("Content-Type", "application/proto")],
        b"",
    )));
    let captures = captures::to("/push.v1.PusherService/Push");
    for (index, capture) in captures.iter().enumerate() {
        let answer = Client::connect(rig.relay.addr())
            .send(&capture.bytes)
            .receive();
        assert_eq!(answer.status(), 200);
        let arrived = &rig.upstream.wait_for(index + 1, SOON)[index];
        assert_eq!(
            arrived.head.raw(),
            capture.end_to_end_head(),
            "{}",
            capture.file
        );
        assert_eq!(arrived.body.raw, capture.body, "{}", capture.file);
    }
}

#[test]
fn a_target_gets_the_captured_profile_with_its_tags_and_nothing_of_the_client() {
    let rig = Rig::tagged("region: here, relay: \"yes\"");
    for capture in captures::to("/ingest") {
        let index = rig.target.requests().len();
        Client::connect(rig.relay.addr())
            .send(&capture.bytes)
            .receive();
        let arrived = rig
            .target
            .wait_for(index + 1, Duration::from_secs(10))
            .remove(index);
        let head = &arrived.head;
        assert_eq!(head.method(), "POST");
        assert_eq!(head.path(), "/ingest");
        assert_same_but_name(&capture.head.query(), &head.query());

        let mut expected = key::Key::of(&capture.head.query());
        expected.tags.insert("region".to_owned(), "here".to_owned());
        expected.tags.insert("relay".to_owned(), "yes".to_owned());
        assert_eq!(key::Key::of(&head.query()), expected, "{}", capture.file);

        for field in ["content-type", "content-encoding"] {
            assert_eq!(
                head.get(field),
                capture.head.get(field),
                "{field} of {}",
                capture.file
            );
        }
        for field in PRIVATE {
            assert!(!head.has(field), "{field} went out:\n{}", head.text());
        }
        assert!(
            !head.text().contains("dXNlcjpwYXNz"),
            "credentials went out:\n{}",
            head.text()
        );
        assert_eq!(head.get("host"), Some(rig.target.address().to_string()));
        assert_eq!(
            head.get("content-length"),
            Some(capture.body.len().to_string())
        );
        assert_eq!(head.get("pyrotee-hops"), Some("1".to_owned()));
        assert_eq!(arrived.body.raw, capture.body, "{}", capture.file);
    }
}

/// Asserts that two raw queries have the same pairs in the same order, except for the value of `name`.
pub(crate) fn assert_same_but_name(sent: &str, got: &str) {
    let other = |query: &str| -> Vec<String> {
        let pairs = query.split('&');
        pairs
            .map(|pair| {
                if pair.starts_with("name=") {
                    "name=…"
                } else {
                    pair
                }
                .to_owned()
            })
            .collect()
    };
    assert_eq!(other(got), other(sent), "sent {sent}\n got {got}");
}
