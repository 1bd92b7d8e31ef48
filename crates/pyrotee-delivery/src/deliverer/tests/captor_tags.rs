//! Tests of profiles that another relay captured: they keep that relay's tags.

use pyroscope_wire::message::Message;
use pyroscope_wire::{Coding, Encoding};
use pyrotee_queue::{Lease, LeaseEnd, LeaseFilter, LeaseFuture, Settle, Tally};

use super::*;

/// A queue whose records another relay captured, with these tags as text.
#[derive(Debug)]
struct Captured {
    queue: Arc<dyn Consumer>,
    tags: Arc<str>,
}

struct Inner(Lease);

impl Settle for Inner {
    fn settle(self: Box<Self>, end: LeaseEnd) {
        match end {
            LeaseEnd::Acked => self.0.ack(),
            LeaseEnd::Lost(reason) => self.0.lose(reason),
            LeaseEnd::Released => drop(self.0),
            LeaseEnd::Retried { at, history } => self.0.retry(at, history),
        }
    }
}

impl Consumer for Captured {
    fn lease<'a>(&'a self, filters: &'a [LeaseFilter]) -> LeaseFuture<'a> {
        Box::pin(async move {
            let lease = self.queue.lease(filters).await?;
            let (record, lane, history) = (lease.record().clone(), lease.lane(), lease.history());
            let lease = Lease::new(record, lane, history, Box::new(Inner(lease)));
            Some(lease.with_tags(Arc::clone(&self.tags)))
        })
    }

    fn fall_behind(&self) {
        self.queue.fall_behind();
    }

    fn expire(&self, received_before: SystemTime) {
        self.queue.expire(received_before);
    }

    fn abandon(&self, reason: Reason) {
        self.queue.abandon(reason);
    }

    fn purge(&self) -> Tally {
        self.queue.purge()
    }

    fn oldest(&self) -> Option<SystemTime> {
        self.queue.oldest()
    }
}

/// A relay with the tag `pod=b`, whose records have the tags `captured`.
fn rig(captured: &str) -> Rig {
    let own = Settings {
        tags: Tags::parse([("pod".to_owned(), "b".to_owned())]).unwrap(),
        ..settings()
    };
    let tags = Arc::<str>::from(captured);
    let wrap = |queue| -> Arc<dyn Consumer> {
        let tags = Arc::clone(&tags);
        Arc::new(Captured { queue, tags })
    };
    let mut failed = false;
    let servers = [Server::new(move |_| {
        // A retry has the same tags.
        match std::mem::replace(&mut failed, true) {
            false => Act::answer(503, "busy"),
            true => Act::OK,
        }
    })];
    let refresh = CredentialRefresh::disabled();
    let [rig] = Rig::over_queues(&own, servers, LIMITS, wrap, &refresh);
    rig
}

async fn name_sent(captured: &str) -> String {
    let rig = rig(captured);
    rig.offer("app");
    assert_eq!(rig.settled().await.sent.profiles, 1);
    let [first, retry] = <[String; 2]>::try_from(rig.server.names()).unwrap();
    assert_eq!(first, retry);
    first
}

#[tokio::test(start_paused = true)]
async fn a_name_gets_the_tags_of_the_relay_that_captured_it() {
    let name = name_sent("pod=a,zone=1").await;
    assert_eq!(name, "app%7Bpod%3Da%2Czone%3D1%7D");
    assert_eq!(name_sent("").await, "app");
}

#[tokio::test(start_paused = true)]
async fn tags_that_cannot_be_read_are_replaced_by_the_relays_own() {
    assert_eq!(name_sent("pod").await, "app%7Bpod%3Db%7D");
}

#[tokio::test]
async fn a_push_message_gets_the_tags_of_the_relay_that_captured_it() {
    let rig = rig("pod=a");
    let series = b"\x0a\x10\x0a\x06\x0a\x01a\x12\x01b\x12\x06\x0a\x04\x01\x02\x03\x04";
    assert!(rig.offer_body(Surface::Push, "app", series.to_vec()));
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
