//! Relays that share a backlog through a nats-server.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::stream::Stream;
use pyrotee_queue::{
    Budget, Counts, Head, Headers, Lease, LeaseFilter, Ledger, Limits, OpenQueue, Payload,
    Producer, Record, Registry, Sharing, SurfaceId, TargetQueue, WhenFull,
};

use crate::link::Session;
use crate::pace::Pace;
use crate::target::Target;
use crate::testing::Nats;
use crate::{Closer, Control, Monitor, Policy, StreamState, TargetStats};

pub(super) const TARGET: &str = "eu";

/// The surfaces that the relays know.
pub(super) const SURFACES: [(u8, &str); 2] = [(1, "ingest"), (2, "push")];

/// Between two looks at the stream.
pub(super) const LOOK: Duration = Duration::from_millis(50);

pub(super) const ANY: [LeaseFilter; 3] = LeaseFilter::ANY;

/// Longest time that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a relay is set up.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) tags: &'static str,
    pub(super) whose: [u8; 16],
    pub(super) after: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) max_bytes: u64,
    pub(super) limits: Limits,
    pub(super) ack_wait: Duration,
    pub(super) policy: Policy,
    pub(super) pace: Pace,
}

impl Default for Setup {
    /// Hands over at once what is offered.
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            tags: "pod=a",
            whose: [1; 16],
            after: Duration::ZERO,
            max_age: None,
            max_bytes: 64 << 20,
            limits: Limits {
                records: 1_000,
                bytes: 64 << 20,
                when_full: WhenFull::DropNewest,
            },
            ack_wait: Duration::from_secs(2),
            policy: Policy::Manage,
            pace: Pace {
                puback: millis(500),
                between_asks: (millis(5), millis(20)),
                expire: millis(50),
                after_error: (millis(10), millis(100)),
                when_full: millis(50),
                ..Pace::default()
            },
        }
    }
}

pub(super) fn sharing(setup: &Setup) -> Sharing {
    Sharing {
        tags: setup.tags.into(),
        whose: setup.whose,
        max_age: setup.max_age,
        timeout: Duration::from_millis(1),
        max_bytes: setup.max_bytes,
    }
}

/// A relay with one target.
pub(super) struct Relay {
    pub(super) producer: Option<Arc<dyn Producer>>,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) queue: OpenQueue,
    pub(super) monitor: Monitor,
    pub(super) control: Control,
    pub(super) closer: Option<Closer>,
    pub(super) budget: Arc<Budget>,
    pub(super) target: TargetQueue,
}

impl Relay {
    pub(super) fn open(nats: &Nats, prefix: &str, setup: &Setup) -> Self {
        let budget = Budget::new(256 << 20);
        let target = TargetQueue {
            name: TARGET.to_owned(),
            limits: setup.limits,
            ledger: Arc::new(Ledger::default()),
            sharing: Some(sharing(setup)),
        };
        let mut settings = nats.settings(prefix);
        settings.after = setup.after;
        settings.surfaces = SURFACES.to_vec();
        settings.timing.ack_wait = setup.ack_wait;
        settings.timing.look = LOOK;
        settings.policy = setup.policy;
        let opened = settings.open_with(setup.pace, [target.clone()], &budget);
        let mut queues = opened.queues;
        Self {
            producer: Some(opened.producer),
            registry: opened.registry,
            queue: queues.pop().unwrap(),
            monitor: opened.monitor,
            control: opened.control,
            closer: Some(opened.closer),
            budget,
            target,
        }
    }

    /// A relay whose stream is in use.
    pub(super) async fn ready(nats: &Nats, prefix: &str, setup: &Setup) -> Self {
        let relay = Self::open(nats, prefix, setup);
        relay.until_ready().await;
        relay
    }

    pub(super) async fn until_ready(&self) {
        until("the stream is in use", || {
            let is_ready = self.stats().state == StreamState::Ready;
            is_ready && self.session().is_some()
        })
        .await;
    }

    pub(super) fn record(&self, surface: u8, name: &str, bytes: usize) -> Arc<Record> {
        self.record_of(surface, name, bytes, None)
    }

    /// A record with these tags of the relay that captured it.
    pub(super) fn record_of(
        &self,
        surface: u8,
        name: &str,
        bytes: usize,
        captor_tags: Option<&str>,
    ) -> Arc<Record> {
        let head = Head {
            surface: SurfaceId(surface),
            query: name.into(),
            content_type: None,
            content_encoding: None,
            headers: Headers::default(),
            hops: 0,
            received: SystemTime::now(),
            captor_tags: captor_tags.map(Into::into),
        };
        let charged = self.budget.reserve_recording(bytes as u64).unwrap();
        Record::new(head, Payload::from(vec![7; bytes]), charged)
    }

    /// Offers a record of 10 bytes.
    pub(super) fn offer(&self, name: &str) {
        assert_eq!(self.offer_of(1, name, 10), 1);
    }

    pub(super) fn offer_of(&self, surface: u8, name: &str, bytes: usize) -> usize {
        let record = self.record(surface, name, bytes);
        self.producer.as_ref().unwrap().offer(&record).queued
    }

    pub(super) async fn lease(&self) -> Lease {
        self.lease_of(&ANY).await
    }

    pub(super) async fn lease_of(&self, filters: &[LeaseFilter]) -> Lease {
        let lease = self.queue.consumer.lease(filters);
        let lease = tokio::time::timeout(PATIENCE, lease).await;
        lease.expect("a record is ready").expect("it has not ended")
    }

    pub(super) fn counts(&self) -> Counts {
        let counts = self.queue.ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        counts
    }

    pub(super) fn stats(&self) -> TargetStats {
        self.monitor.stats().targets.pop().unwrap()
    }

    pub(super) fn target(&self) -> Arc<Target> {
        self.monitor.backend.target(TARGET).unwrap()
    }

    /// The session on which the stream is used.
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.target().session()
    }

    /// The stream, as an operator sees it.
    pub(super) async fn stream(&self) -> Stream<()> {
        let (jetstream, target) = (&self.session().unwrap().jetstream, self.target());
        let stream = jetstream.get_stream_no_info(&target.stream).await;
        stream.unwrap()
    }

    /// Puts a message into the stream that no relay of this version writes.
    pub(super) async fn publish(&self, surface: u8, content: &'static str) {
        let subject = self.target().subject(SurfaceId(surface));
        let jetstream = &self.session().unwrap().jetstream;
        let published = jetstream.publish(subject, content.into()).await;
        published.unwrap().await.unwrap();
    }

    pub(super) async fn messages(&self) -> u64 {
        self.stream().await.get_info().await.unwrap().state.messages
    }

    /// Offers records that are named by these numbers, which begin after the former ones, and waits until they are handed
    /// over.
    pub(super) async fn hand_over(&self, numbers: Range<u64>) {
        for number in numbers.clone() {
            self.offer(&number.to_string());
        }
        self.until_handed_over(numbers.end).await;
    }

    /// Waits until the relay has handed over `records`.
    pub(super) async fn until_handed_over(&self, records: u64) {
        let handed_over = || self.counts().handed_over.profiles;
        until("records are handed over", || handed_over() >= records).await;
        assert_eq!(handed_over(), records);
    }

    /// Stops the relay as a SIGTERM does. Returns whether no record was dropped.
    pub(super) async fn stop(&mut self, patience: Duration) -> bool {
        drop(self.producer.take());
        self.queue.consumer.abandon(pyrotee_queue::Reason::Shutdown);
        let until = tokio::time::Instant::now() + patience;
        self.closer.take().unwrap().close(until).await
    }
}

/// Waits until `is_so`.
pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}

pub(super) fn name(lease: &Lease) -> &str {
    &lease.record().head().query
}

/// The tags of the relay that captured the record, if another one did.
pub(super) fn tags(lease: &Lease) -> Option<&str> {
    lease.record().head().captor_tags.as_deref()
}

/// The records that all relays together handed over and did not take over: those in the stream.
pub(super) fn in_stream(relays: &[&Relay]) -> i64 {
    let counts = relays.iter().map(|relay| relay.counts());
    let waiting = counts.map(|it| {
        i64::try_from(it.handed_over.profiles).unwrap()
            - i64::try_from(it.taken_over.profiles).unwrap()
    });
    waiting.sum()
}
