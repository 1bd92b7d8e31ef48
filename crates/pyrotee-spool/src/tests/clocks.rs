//! Wall clocks that are set while records wait. The times that a target gets do not change; only ages do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Head, Payload, Reason, Record, StepClock, shift};
use pyrotee_segments::{CURSOR_SLOTS, Cursors};

use super::sim::Sim;
use super::support::{TestSpool, eventually, head, open, settings, start};
use crate::{Fsync, Settings};

const HOUR: i64 = 3_600_000_000_000;
const DECADES: i64 = 50 * 365 * 24 * HOUR;
const MAX_AGE: Duration = Duration::from_secs(3_300);

/// A wall clock that a test sets, relative to that of the system.
#[derive(Default, Clone)]
struct Clock {
    /// How far the clock is from the true time, in nanoseconds.
    off: Arc<AtomicI64>,
}

impl Clock {
    fn off_by(off: i64) -> Self {
        let off = Arc::new(off.into());
        Self { off }
    }

    fn set(&self, off: i64) {
        self.off.store(off, SeqCst);
    }

    fn now(&self) -> SystemTime {
        shift(SystemTime::now(), self.off.load(SeqCst))
    }

    fn open(&self, sim: &Arc<Sim>) -> TestSpool {
        self.open_for(sim, &["a"])
    }

    fn open_for(&self, sim: &Arc<Sim>, names: &[&str]) -> TestSpool {
        open(sim, self.settings(), names)
    }

    fn settings(&self) -> Settings {
        let (clock, at_start) = (self.clone(), self.off.load(SeqCst));
        let read = move || (clock.now(), clock.off.load(SeqCst) - at_start);
        Settings {
            clock: StepClock::from_fn(read),
            save_every: 1,
            ..settings(Path::new(""))
        }
    }

    async fn keep(&self, spool: &TestSpool, name: &str) {
        let head = Head {
            received: self.now(),
            ..head(name)
        };
        let body = name.as_bytes().to_vec();
        let reservation = spool.budget.reserve(body.len() as u64).unwrap();
        let record = Record::new(head, Payload::from(body), reservation);
        assert!(spool.producer.offer(&record).receipt.durable().await);
    }

    /// Expires records as the deliverer does. Returns how many have expired so far.
    fn expire(&self, spool: &TestSpool) -> u64 {
        let now = self.now();
        spool.consumers[0].expire(now.checked_sub(MAX_AGE).unwrap_or(SystemTime::UNIX_EPOCH));
        spool.lost(0, Reason::Expired)
    }

    /// The age of the oldest record, in seconds, as the status page shows it.
    fn oldest(&self, spool: &TestSpool) -> u64 {
        let oldest = spool.consumers[0].oldest().unwrap();
        self.now()
            .duration_since(oldest)
            .unwrap_or_default()
            .as_secs()
    }
}

/// Number of clock steps in the latest cursors.
fn steps(sim: &Sim) -> usize {
    let slots = CURSOR_SLOTS.into_iter().filter_map(|slot| {
        let mut cursors = None;
        sim.tamper(slot, |bytes| cursors = Cursors::decode(bytes).ok());
        Some(((), cursors?))
    });
    let latest = Cursors::latest(slots);
    latest.map_or(0, |(_, cursors)| cursors.steps.len())
}

#[tokio::test]
async fn a_clock_that_is_set_while_records_wait_expires_none() {
    for step in [HOUR * 10, -HOUR, DECADES, -DECADES] {
        let (clock, sim) = (Clock::default(), Sim::new());
        let spool = clock.open(&sim);
        clock.keep(&spool, "0-10").await;
        clock.set(step);
        clock.keep(&spool, "1-10").await;
        clock.set(0);
        clock.keep(&spool, "2-10").await;
        clock.set(step);
        clock.keep(&spool, "3-10").await;
        assert_eq!(clock.expire(&spool), 0, "{step}");
        assert!(clock.oldest(&spool) < 60, "{step}");
        // Records do not expire in a later process either, whichever of these clocks it begins with. A clock that is
        // set while no process runs is not noticed: if it is set an hour ahead, the records are an hour older.
        for later in [0, step].into_iter().filter(|later| *later - step != HOUR) {
            eventually("three steps in the cursors", || steps(&sim) == 3).await;
            let killed = sim.after_kill();
            let clock = Clock::off_by(later);
            let next = clock.open(&killed);
            assert_eq!(clock.expire(&next), 0, "{step} {later}");
            assert_eq!(next.counts(0).pending.profiles, 4);
            assert!(clock.oldest(&next) < 60, "{step} {later}");
            next.close();
        }
        clock.set(step);
        spool.close();
        for later in [step, 0].into_iter().filter(|later| *later - step != HOUR) {
            clock.set(later);
            let next = clock.open(&sim);
            assert_eq!(clock.expire(&next), 0, "{step} {later}");
            next.close();
        }
    }
}

#[tokio::test]
async fn a_boot_in_1970_and_a_restart_after_ntp_expire_none() {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let boot = Clock::off_by(HOUR - i64::try_from(since_1970).unwrap());
    let sim = Sim::new();
    let spool = boot.open(&sim);
    boot.keep(&spool, "0-10").await;
    spool.close();
    let spool = boot.open(&sim);
    assert_eq!(boot.expire(&spool), 0);
    boot.set(0);
    assert_eq!(boot.expire(&spool), 0);
    boot.keep(&spool, "1-10").await;
    spool.close();
    for _ in 0..2 {
        let spool = boot.open(&sim);
        assert_eq!(boot.expire(&spool), 0);
        assert_eq!(spool.counts(0).pending.profiles, 2);
        spool.close();
    }
}

#[tokio::test]
async fn ages_count_on_over_restarts_and_one_record_of_the_future_blocks_no_other() {
    let (clock, sim) = (Clock::off_by(-HOUR), Sim::new());
    let spool = clock.open(&sim);
    clock.keep(&spool, "0-10").await;
    spool.close();
    // A process whose clock was wrong from its start to its end.
    clock.set(HOUR * 9);
    let spool = clock.open(&sim);
    clock.keep(&spool, "1-10").await;
    spool.close();
    clock.set(-HOUR);
    let spool = clock.open(&sim);
    clock.keep(&spool, "2-10").await;
    assert_eq!(clock.expire(&spool), 0);
    spool.close();
    clock.set(0);
    let spool = clock.open(&sim);
    assert_eq!(clock.oldest(&spool), 3_600);
    assert_eq!(clock.expire(&spool), 2, "an hour has passed");
    let left = spool.lease(0).await;
    assert_eq!(&*left.record().head().query, "1-10");
    assert!(
        left.record().head().received > SystemTime::now(),
        "a profile keeps its time"
    );
    drop(left);
    assert!(
        clock.oldest(&spool) < 60,
        "the one of the future is as old as the process"
    );
}

#[tokio::test]
async fn a_record_of_the_future_at_the_front_does_not_block_those_behind_it() {
    let (clock, sim) = (Clock::off_by(HOUR * 9), Sim::new());
    let spool = clock.open(&sim);
    clock.keep(&spool, "0-10").await;
    spool.close();
    clock.set(-HOUR);
    let spool = clock.open(&sim);
    for number in 1..5 {
        clock.keep(&spool, &format!("{number}-10")).await;
    }
    spool.close();
    clock.set(0);
    let spool = clock.open(&sim);
    assert_eq!(clock.expire(&spool), 4);
    assert_eq!(spool.counts(0).pending.profiles, 1);
}

#[tokio::test]
async fn a_removed_target_does_not_expire_with_a_clock_that_is_set() {
    let (clock, sim) = (Clock::default(), Sim::new());
    let spool = clock.open_for(&sim, &["a", "gone"]);
    clock.keep(&spool, "0-10").await;
    spool.close();
    let spool = clock.open_for(&sim, &["a"]);
    clock.set(DECADES);
    clock.keep(&spool, "1-10").await;
    assert_eq!(spool.monitor.stats().removed_targets, 1);
    assert_eq!(spool.lost_of_removed(), 0);
}

#[tokio::test]
async fn cursors_tell_of_steps_only_as_long_as_records_from_before_are_there() {
    let (clock, sim) = (Clock::default(), Sim::new());
    let spool = clock.open(&sim);
    clock.keep(&spool, "0-10").await;
    clock.set(HOUR);
    clock.keep(&spool, "1-10").await;
    let version = || {
        let slots = sim
            .names()
            .into_iter()
            .filter(|name| name.starts_with("cursors"));
        let versions = slots.map(|name| {
            let mut version = 0;
            sim.tamper(&name, |bytes| version = bytes[8]);
            version
        });
        versions.max().unwrap()
    };
    eventually("version 2", || version() == 2).await;
    spool.lease(0).await.ack();
    spool.lease(0).await.ack();
    spool.close();
    let spool = clock.open(&sim);
    eventually("version 1, which an earlier pyrotee reads", || {
        version() == 1
    })
    .await;
    spool.close();
    assert_eq!(version(), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_before_the_spool_opens_expires_nothing_later() {
    let (clock, sim) = (Clock::off_by(-DECADES), Sim::new());
    sim.fail_prepare(Some(std::io::ErrorKind::NotFound));
    let settings = Settings {
        fsync: Fsync::Never,
        ..clock.settings()
    };
    let spool = start(Arc::clone(&sim) as _, settings, &["a"]);
    assert!(spool.monitor.wait_until_open().is_err());
    clock.keep(&spool, "0-10").await;
    // The clock is set over the network before the directory can be opened.
    clock.set(0);
    clock.keep(&spool, "1-10").await;
    sim.fail_prepare(None);
    eventually("the step is saved", || steps(&sim) == 1).await;
    eventually("all is written", || spool.monitor.stats().unwritten == 0).await;
    assert_eq!(clock.expire(&spool), 0);
    let spool = clock.open(&sim.after_kill());
    assert_eq!(spool.counts(0).pending.profiles, 2);
    assert_eq!(clock.expire(&spool), 0);
}
