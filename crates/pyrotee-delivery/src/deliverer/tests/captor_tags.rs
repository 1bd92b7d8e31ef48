//! Tests of profiles that another relay captured: they keep that relay's tags.

use pyroscope_wire::message::Message;
use pyroscope_wire::{Coding, Encoding};

use super::*;

/// A relay with the tag `pod=b`. The target fails at the first upload.
fn rig() -> Rig {
    let own = Settings {
        tags: Tags::parse([("pod".to_owned(), "b".to_owned())]).unwrap(),
        ..settings()
    };
    let mut failed = false;
    let server = Server::new(move |_| match std::mem::replace(&mut failed, true) {
        false => Act::answer(503, "busy"),
        true => Act::OK,
    });
    Rig::with(&own, server)
}

/// The name that the target gets, with the retry as well.
async fn name_sent(captor_tags: Option<&str>) -> String {
    let rig = rig();
    assert!(rig.offer_captured(Surface::Ingest, "app", vec![b'x'; 100], captor_tags));
    assert_eq!(rig.settled().await.sent.profiles, 1);
    let [first, retry] = <[String; 2]>::try_from(rig.server.names()).unwrap();
    assert_eq!(first, retry);
    first
}

#[tokio::test(start_paused = true)]
async fn a_name_gets_the_tags_of_the_relay_that_captured_it() {
    let name = name_sent(Some("pod=a,zone=1")).await;
    assert_eq!(name, "app%7Bpod%3Da%2Czone%3D1%7D");
    assert_eq!(name_sent(Some("")).await, "app");
    assert_eq!(name_sent(None).await, "app%7Bpod%3Db%7D");
}

#[tokio::test(start_paused = true)]
async fn tags_that_cannot_be_read_are_replaced_by_the_relays_own() {
    assert_eq!(name_sent(Some("pod")).await, "app%7Bpod%3Db%7D");
}

#[tokio::test]
async fn a_push_message_gets_the_tags_of_the_relay_that_captured_it() {
    let rig = rig();
    let series = b"\x0a\x10\x0a\x06\x0a\x01a\x12\x01b\x12\x06\x0a\x04\x01\x02\x03\x04";
    assert!(rig.offer_captured(Surface::Push, "app", series.to_vec(), Some("pod=a")));
    let sent = async || {
        while rig.counts().pending.profiles > 0 {
            pause(0.01).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sent())
        .await
        .expect("it is sent");
    let bodies: Vec<_> = rig.server.seen(|seen| {
        seen.uploads
            .iter()
            .map(|upload| upload.body.clone())
            .collect()
    });
    assert_eq!(bodies.len(), 2);
    let encoding = Encoding::of(Surface::Push, Some(b"application/proto")).unwrap();
    for body in bodies {
        let message = Message::read(encoding, Coding::Identity, &[body.into()], 1 << 20).unwrap();
        let labels = message.describe().unwrap().labels;
        assert!(
            labels.contains(&("pod".to_owned(), "a".to_owned())),
            "{labels:?}"
        );
    }
}
