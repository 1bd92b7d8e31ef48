//! What the tests share.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_queue::{
    Budget, Consumer, Counts, Head, Lease, LeaseFilter, Ledger, Limits, OfferResult, Payload,
    Producer, Reason, Record, SurfaceId, WhenFull,
};

use super::sim::Sim;
use crate::spool::start;
use crate::storage::Storage;
use crate::{Control, Fsync, Keeper, Monitor, OpenError, Settings, Spool, Target};

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
        rest: Duration::ZERO,
        ..Settings::new(dir)
    }
}

/// An open spool and its accounts.
pub(super) struct Bench {
    pub(super) producer: Arc<dyn Producer>,
    pub(super) consumers: Vec<Arc<dyn Consumer>>,
    pub(super) monitor: Monitor,
    pub(super) control: Control,
    pub(super) keeper: Keeper,
    pub(super) ledgers: Vec<Arc<Ledger>>,
    pub(super) budget: Arc<Budget>,
}

pub(super) fn open(sim: &Arc<Sim>, settings: Settings, names: &[&str]) -> Bench {
    try_open(sim, settings, names, ROOMY).unwrap()
}

pub(super) fn try_open(
    sim: &Arc<Sim>,
    settings: Settings,
    names: &[&str],
    limits: Limits,
) -> Result<Bench, OpenError> {
    let storage = Arc::clone(sim) as Arc<dyn Storage>;
    bench(names, limits, |targets, budget| {
        start(settings, storage, targets, budget)
    })
}

/// The spool that `open` opens for targets of these names.
pub(super) fn bench(
    names: &[&str],
    limits: Limits,
    open: impl FnOnce(Vec<Target>, &Arc<Budget>) -> Result<Spool, OpenError>,
) -> Result<Bench, OpenError> {
    let ledgers: Vec<_> = names.iter().map(|_| Arc::<Ledger>::default()).collect();
    let budget = Budget::new(64 << 20);
    let targets = names.iter().zip(&ledgers);
    let targets = targets.map(|(name, ledger)| ((*name).to_owned(), limits, Arc::clone(ledger)));
    let spool = open(targets.collect(), &budget)?;
    Ok(Bench {
        producer: spool.producer,
        consumers: spool.consumers,
        monitor: spool.monitor,
        control: spool.control,
        keeper: spool.keeper,
        ledgers,
        budget,
    })
}

/// What a record of this name holds; names end in their length.
pub(super) fn body(name: &str) -> Vec<u8> {
    let len: usize = name.rsplit('-').next().unwrap().parse().unwrap();
    name.bytes().cycle().take(len).collect()
}

pub(super) fn head(name: &str) -> Head {
    Head {
        surface: SurfaceId(1),
        query: name.into(),
        content_type: Some((*b"text/plain").into()),
        content_encoding: None,
        hops: 2,
        received: SystemTime::UNIX_EPOCH + Duration::new(7, 9),
    }
}

/// The name of a leased record, which must be what was offered.
pub(super) fn name(lease: &Lease) -> String {
    let name = lease.record().head().query.to_string();
    assert_eq!(*lease.record().head(), head(&name));
    assert!(
        lease.record().body().frames().concat() == body(&name),
        "{name}"
    );
    name
}

impl Bench {
    pub(super) fn offer(&self, name: &str) -> OfferResult {
        self.producer.offer(&self.record(name))
    }

    pub(super) fn record(&self, name: &str) -> Arc<Record> {
        let body = body(name);
        let reservation = self.budget.reserve(body.len() as u64).unwrap();
        Record::new(head(name), Payload::from(body), reservation)
    }

    /// Offers a record; whether it will survive.
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

    /// The next record of a target, which must be there.
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

    /// What every target would be given from now on, without taking it.
    pub(super) async fn pending(&self) -> Vec<Vec<String>> {
        let mut pending = Vec::new();
        for target in 0..self.consumers.len() {
            let mut leases = Vec::new();
            for _ in 0..self.counts(target).pending.profiles {
                leases.push(self.lease(target).await);
            }
            pending.push(leases.iter().map(name).collect());
        }
        pending
    }

    /// Delivers everything to everybody; what came to whom.
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
        self.keeper.close();
        let counts = self.ledgers.iter().map(|ledger| ledger.snapshot());
        (delivered, counts.collect())
    }

    pub(super) fn close(self) {
        self.keeper.close();
    }
}

/// A test that waits for ever shall fail.
pub(super) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(Duration::from_secs(10), future).await;
    result.unwrap_or_else(|_| panic!("it never came: {what}"))
}

/// Waits for the writer, which works on its own.
pub(super) async fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came: {what}");
}
