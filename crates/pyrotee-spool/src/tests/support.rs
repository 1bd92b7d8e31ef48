//! An open spool for tests, and records whose names contain the lengths of their bodies.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pyrotee_queue::{
    Budget, Consumer, Counts, Head, Headers, Lease, LeaseFilter, Ledger, Limits, OfferResult,
    OpenQueue, Payload, Producer, QueueId, Reason, Record, Registry, SurfaceId, TargetQueue,
    WhenFull,
};
use pyrotee_segments::{Disk, Listing, SegmentHead, Storage};

use super::sim::Sim;
use crate::open_spool::start_in;
use crate::{Closer, Control, Fsync, Monitor, OpenSpool, Settings};

pub(super) const ROOMY: Limits = Limits {
    records: 10_000,
    bytes: 1 << 30,
    when_full: WhenFull::DropNewest,
};

/// Settings whose saves and syncs happen at once or at the close, never by the clock.
pub(super) fn settings(dir: &Path) -> Settings {
    Settings {
        max_bytes: 1 << 20,
        segment_bytes: 16 << 10,
        fsync: Fsync::Always,
        save_every: 1 << 40,
        save_after: Duration::from_secs(3_600),
        sync_cursors_after: Duration::ZERO,
        retry_after: Duration::from_millis(5),
        read_again_after: Duration::from_millis(5),
        min_sleep: Duration::ZERO,
        short_life: Duration::ZERO,
        ..Settings::new(dir)
    }
}

/// An open spool with the ledgers of its targets.
pub(super) struct TestSpool {
    pub(super) producer: Arc<dyn Producer>,
    pub(super) registry: Arc<dyn Registry>,
    /// In the order of `ledgers`: the targets of the first list, then those that joined.
    pub(super) ids: Vec<QueueId>,
    pub(super) consumers: Vec<Arc<dyn Consumer>>,
    pub(super) monitor: Monitor,
    pub(super) control: Control,
    pub(super) closer: Closer,
    pub(super) ledgers: Vec<Arc<Ledger>>,
    pub(super) budget: Arc<Budget>,
}

pub(super) fn open(sim: &Arc<Sim>, settings: Settings, names: &[&str]) -> TestSpool {
    try_open(sim, settings, names, ROOMY).unwrap()
}

pub(super) fn try_open(
    sim: &Arc<Sim>,
    settings: Settings,
    names: &[&str],
    limits: Limits,
) -> Result<TestSpool, String> {
    let storage = Arc::clone(sim) as Arc<dyn Storage>;
    open_with(names, limits, |targets, budget| {
        opened(start_in(settings, storage, targets, budget))
    })
}

/// Starts a spool that may not open now.
pub(super) fn start(storage: Arc<dyn Storage>, settings: Settings, names: &[&str]) -> TestSpool {
    let start = |targets: &_, budget: &_| Ok(start_in(settings, storage, targets, budget));
    open_with(names, ROOMY, start).unwrap()
}

/// Opens the spool in a directory of the operating system.
pub(super) fn open_on_disk(
    settings: Settings,
    targets: &[TargetQueue],
    budget: &Arc<Budget>,
) -> Result<OpenSpool, String> {
    let storage = Arc::new(Disk::new(&settings.dir));
    opened(start_in(settings, storage, targets, budget))
}

/// The spool once it is open, or why it is not.
fn opened(spool: OpenSpool) -> Result<OpenSpool, String> {
    match spool.monitor.wait_until_open() {
        Ok(()) => Ok(spool),
        Err(reason) => {
            assert!(spool.closer.close(deadline()));
            Err(reason)
        }
    }
}

/// When a close must have ended.
pub(super) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Opens a spool with `open` for targets of these names.
pub(super) fn open_with(
    names: &[&str],
    limits: Limits,
    open: impl FnOnce(&[TargetQueue], &Arc<Budget>) -> Result<OpenSpool, String>,
) -> Result<TestSpool, String> {
    let budget = Budget::new(64 << 20);
    let spool = open(&targets(names, limits), &budget)?;
    let mut open = TestSpool {
        producer: spool.producer,
        registry: spool.registry,
        ids: Vec::new(),
        consumers: Vec::new(),
        monitor: spool.monitor,
        control: spool.control,
        closer: spool.closer,
        ledgers: Vec::new(),
        budget,
    };
    open.note(spool.queues);
    Ok(open)
}

/// Targets of these names, each with a ledger of its own.
pub(super) fn targets(names: &[&str], limits: Limits) -> Vec<TargetQueue> {
    let target = |name: &&str| TargetQueue {
        name: (*name).to_owned(),
        limits,
        ledger: Arc::default(),
        sharing: None,
    };
    names.iter().map(target).collect()
}

/// The body of the record with this name. Names end in the length of the body.
pub(super) fn body(name: &str) -> Vec<u8> {
    let len: usize = name.rsplit('-').next().unwrap().parse().unwrap();
    name.bytes().cycle().take(len).collect()
}

/// The head of the record with this name. The record `7-h2-1000` has two headers, others have none. The record
/// `7-t-1000` was captured by another relay.
pub(super) fn head(name: &str) -> Head {
    let mut parts = name.split('-').filter_map(|part| part.strip_prefix('h'));
    let count = parts.next().map_or(0, |count| count.parse().unwrap());
    let headers = ["x-meaning", "x-version"].into_iter().take(count);
    let headers: Headers = headers.map(|key| (key, name.as_bytes())).collect();
    Head {
        surface: SurfaceId(1),
        query: name.into(),
        content_type: Some((*b"text/plain").into()),
        content_encoding: None,
        headers,
        hops: 2,
        received: received(name),
        captor_tags: name.contains("-t-").then(|| "pod=a,zone=ä".into()),
    }
}

/// When the record with this name was received. The records of version 1 (`old-…`) were received in 1970.
pub(super) fn received(name: &str) -> SystemTime {
    let seconds = match name.starts_with("old-") {
        true => 7,
        false => 1_700_000_007,
    };
    SystemTime::UNIX_EPOCH + Duration::new(seconds, 9)
}

/// The name of a leased record. Panics if head or body differ from those that were offered.
pub(super) fn name(lease: &Lease) -> String {
    let name = lease.record().head().query.to_string();
    assert_eq!(*lease.record().head(), head(&name));
    assert!(
        lease.record().body().frames().concat() == body(&name),
        "{name}"
    );
    name
}

impl TestSpool {
    /// Replaces the list of targets. Returns where ledger and consumer of each are.
    pub(super) fn put_in_force(&mut self, names: &[&str]) -> Vec<usize> {
        let opened = self.registry.put_in_force(&targets(names, ROOMY));
        self.note(opened)
    }

    fn note(&mut self, opened: Vec<OpenQueue>) -> Vec<usize> {
        let place = |queue: OpenQueue| match self.ids.iter().position(|id| *id == queue.id) {
            Some(known) => {
                self.consumers[known] = queue.consumer;
                assert!(Arc::ptr_eq(&self.ledgers[known], &queue.ledger));
                known
            }
            None => {
                self.ids.push(queue.id);
                self.consumers.push(queue.consumer);
                self.ledgers.push(queue.ledger);
                self.ids.len() - 1
            }
        };
        opened.into_iter().map(place).collect()
    }

    pub(super) fn offer(&self, name: &str) -> OfferResult {
        self.producer.offer(&self.record(name))
    }

    pub(super) fn record(&self, name: &str) -> Arc<Record> {
        let body = body(name);
        let reservation = self.budget.reserve(body.len() as u64).unwrap();
        Record::new(head(name), Payload::from(body), reservation)
    }

    /// Offers a record, and returns whether it became durable.
    pub(super) async fn keep(&self, name: &str) -> bool {
        in_time(name, self.offer(name).receipt.durable()).await
    }

    /// Offers `count` records of 1,000 bytes.
    pub(super) async fn fill(&self, count: usize) -> Vec<String> {
        let names: Vec<_> = (0..count).map(|number| format!("{number}-1000")).collect();
        for name in &names {
            assert!(self.keep(name).await);
        }
        names
    }

    /// Leases the next record of a target. Panics if there is none.
    pub(super) async fn lease(&self, target: usize) -> Lease {
        let lease = self.consumers[target].lease(&LeaseFilter::ANY);
        in_time("a lease", lease).await.expect("it has not ended")
    }

    pub(super) fn counts(&self, target: usize) -> Counts {
        let counts = self.ledgers[target].snapshot();
        assert!(counts.balance(), "{counts:?}");
        counts
    }

    pub(super) fn lost(&self, target: usize, reason: Reason) -> u64 {
        self.counts(target).dropped(reason).profiles
    }

    /// Records that removed targets lost, counted once per target. Their accounts balance.
    pub(super) fn lost_of_removed(&self) -> u64 {
        let removed = self.monitor.removed();
        let lost = removed.iter().flat_map(|target| {
            assert!(target.counts.balance(), "{target:?}");
            Reason::ALL.map(|reason| target.counts.dropped(reason).profiles)
        });
        lost.sum()
    }

    /// The names of the pending records of every target. Leases and releases them.
    pub(super) async fn pending(&self) -> Vec<Vec<String>> {
        let mut pending = Vec::new();
        for target in 0..self.consumers.len() {
            pending.push(self.pending_of(target).await);
        }
        pending
    }

    /// The names of the pending records of a target without leases. Leases and releases them.
    pub(super) async fn pending_of(&self, target: usize) -> Vec<String> {
        let mut leases = Vec::new();
        for _ in 0..self.counts(target).pending.profiles {
            leases.push(self.lease(target).await);
        }
        leases.iter().map(name).collect()
    }

    /// Ends a relay with one target whose leases have ended, and returns the final counts of the target.
    pub(super) fn shut_down(self) -> Counts {
        self.consumers[0].abandon(Reason::Shutdown);
        assert!(self.closer.close(deadline()));
        let counts = self.ledgers[0].snapshot();
        assert!(counts.balance());
        counts
    }

    /// Acks all records of all targets, and returns their names and the final counts, per target.
    pub(super) async fn drain(mut self) -> (Vec<Vec<String>>, Vec<Counts>) {
        drop(self.producer);
        let mut delivered = Vec::new();
        for consumer in &self.consumers {
            let mut names = Vec::new();
            while let Some(lease) =
                in_time("a lease or the end", consumer.lease(&LeaseFilter::ANY)).await
            {
                names.push(name(&lease));
                lease.ack();
            }
            delivered.push(names);
        }
        self.consumers.clear();
        assert!(self.closer.close(deadline()));
        let counts = self.ledgers.iter().map(|ledger| ledger.snapshot());
        (delivered, counts.collect())
    }

    pub(super) fn close(self) {
        assert!(self.closer.close(deadline()));
    }
}

/// Checks that each segment's head names all takers of the segment's records.
pub(super) fn check_heads(sim: &Arc<Sim>) {
    let listing = Listing::of(&**sim, || Ok(())).unwrap();
    for segment in &listing.segments {
        let mut head = None;
        sim.tamper(&segment.name, |bytes| {
            head = SegmentHead::decode(bytes).ok()
        });
        let scanned = segment.scan(&**sim, 0, false, None).unwrap().unwrap();
        for record in &scanned.scan.records {
            let names = &head.as_ref().unwrap().0.names;
            let are_named = record.takers.iter().all(|taker| names.contains_key(taker));
            assert!(are_named, "{}: {record:?}, {names:?}", segment.name);
        }
    }
}

/// Awaits a future for ten seconds, so that a test that waits for ever fails.
pub(super) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(Duration::from_secs(10), future).await;
    result.unwrap_or_else(|_| panic!("it never came: {what}"))
}

/// Waits until the writer thread has done something.
pub(super) async fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came: {what}");
}
