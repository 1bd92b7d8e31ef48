//! Compares the spool with a plain list per target, across restarts, kills and power losses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use pyrotee_queue::{Lane, Lease, LeaseFilter, Reason, RetryHistory};
use tokio::time::Instant;

use super::sim::Sim;
use super::support::{TestSpool, name, open, settings};
use crate::{Fsync, Settings};

const NAMES: [&str; 2] = ["a", "b"];

#[derive(Debug, Clone)]
enum Step {
    Offer(usize),
    Lease(usize),
    Ack(Index),
    Lose(Index),
    Release(Index),
    Retry(Index),
    FallBehind(usize),
    Restart,
    Kill,
    PowerLoss,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3_000_usize).prop_map(Step::Offer),
        10 => (0..2_usize).prop_map(Step::Lease),
        6 => any::<Index>().prop_map(Step::Ack),
        1 => any::<Index>().prop_map(Step::Lose),
        2 => any::<Index>().prop_map(Step::Release),
        1 => any::<Index>().prop_map(Step::Retry),
        1 => (0..2_usize).prop_map(Step::FallBehind),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerLoss),
    ]
}

/// A pending record, as the model expects it.
#[derive(Debug, Clone)]
struct ExpectedRecord {
    name: String,
    lane: Lane,
    deferred: bool,
}

type PendingRecords = BTreeMap<usize, ExpectedRecord>;

/// A lease, and the entry of the model for its record.
struct LeasedRecord {
    target: usize,
    number: usize,
    expected: ExpectedRecord,
    lease: Lease,
}

struct Model {
    sim: Arc<Sim>,
    settings: Settings,
    spool: TestSpool,
    waiting: [PendingRecords; 2],
    /// Settled by a target, and perhaps not noted on disk.
    settled: [PendingRecords; 2],
    leased: Vec<LeasedRecord>,
    offered: usize,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let sim = Sim::new();
        Self {
            spool: open(&sim, settings.clone(), &NAMES),
            sim,
            settings,
            waiting: Default::default(),
            settled: Default::default(),
            leased: Vec::new(),
            offered: 0,
        }
    }

    async fn follow(&mut self, step: Step) {
        match step {
            Step::Offer(bytes) => self.offer(bytes).await,
            Step::Lease(target) => self.lease(target).await,
            Step::FallBehind(target) => {
                self.spool.consumers[target].fall_behind();
                let waiting = self.waiting[target].values_mut();
                let leased = self
                    .leased
                    .iter_mut()
                    .filter(|leased| leased.target == target);
                waiting
                    .chain(leased.map(|leased| &mut leased.expected))
                    .for_each(|expected| expected.lane = Lane::Backlog);
            }
            Step::Restart => self.restart(false, Arc::clone).await,
            Step::Kill => self.restart(true, |sim| sim.after_kill()).await,
            Step::PowerLoss => self.restart(true, |sim| sim.after_power_loss()).await,
            Step::Ack(at) | Step::Lose(at) | Step::Release(at) | Step::Retry(at) => {
                if !self.leased.is_empty() {
                    let leased = self.leased.swap_remove(at.index(self.leased.len()));
                    self.settle(&step, leased);
                }
            }
        }
        for target in 0..2 {
            let leased = self
                .leased
                .iter()
                .filter(|leased| leased.target == target)
                .count();
            let pending = self.spool.counts(target).pending.profiles;
            assert_eq!(pending, (self.waiting[target].len() + leased) as u64);
        }
    }

    async fn offer(&mut self, bytes: usize) {
        let name = format!("{0}-h{1}-{bytes}", self.offered, self.offered % 3);
        assert!(self.spool.keep(&name).await);
        for waiting in &mut self.waiting {
            let expected = ExpectedRecord {
                name: name.clone(),
                lane: Lane::Fresh,
                deferred: false,
            };
            waiting.insert(self.offered, expected);
        }
        self.offered += 1;
    }

    async fn lease(&mut self, target: usize) {
        let waiting = &mut self.waiting[target];
        let of = |lane| {
            let due = |expected: &ExpectedRecord| expected.lane == lane && !expected.deferred;
            waiting
                .iter()
                .find(|(_, expected)| due(expected))
                .map(|(number, _)| *number)
        };
        let Some(number) = of(Lane::Fresh).or_else(|| of(Lane::Backlog)) else {
            let nothing = self.spool.consumers[target].lease(&LeaseFilter::ANY);
            assert!(tokio::time::timeout(Duration::ZERO, nothing).await.is_err());
            return;
        };
        let expected = waiting.remove(&number).unwrap();
        let lease = self.spool.lease(target).await;
        assert_eq!(
            (name(&lease), lease.lane()),
            (expected.name.clone(), expected.lane)
        );
        self.leased.push(LeasedRecord {
            target,
            number,
            expected,
            lease,
        });
    }

    fn settle(&mut self, step: &Step, leased: LeasedRecord) {
        let LeasedRecord {
            target,
            number,
            mut expected,
            lease,
        } = leased;
        let back = match step {
            Step::Ack(_) => {
                lease.ack();
                false
            }
            Step::Lose(_) => {
                lease.lose(Reason::Rejected);
                false
            }
            Step::Retry(_) => {
                expected.deferred = true;
                let later = Instant::now() + Duration::from_secs(3_600);
                lease.retry(later, RetryHistory::default());
                true
            }
            _ => {
                drop(lease);
                true
            }
        };
        let place = if back {
            &mut self.waiting
        } else {
            &mut self.settled
        };
        place[target].insert(number, expected);
    }

    /// A new process opens the directory that the old one left. After a crash, settled records may come again, but no
    /// pending record may be missing.
    async fn restart(&mut self, crash: bool, left: impl FnOnce(&Arc<Sim>) -> Arc<Sim>) {
        let found = if crash {
            left(&self.sim)
        } else {
            self.leased.clear_leases(&mut self.waiting);
            let settings = self.settings.clone();
            let after = Sim::new();
            let spool = std::mem::replace(&mut self.spool, open(&after, settings, &NAMES));
            spool.close();
            left(&self.sim)
        };
        let spool = open(&found, self.settings.clone(), &NAMES);
        if crash {
            self.leased.clear_leases(&mut self.waiting);
        }
        self.sim = found;
        self.spool = spool;
        let pending = self.spool.pending().await;
        for (target, pending) in pending.into_iter().enumerate() {
            let number = |name: &String| name.split('-').next().unwrap().parse::<usize>().unwrap();
            let found: PendingRecords = pending
                .iter()
                .map(|name| {
                    let expected = ExpectedRecord {
                        name: name.clone(),
                        lane: Lane::Backlog,
                        deferred: false,
                    };
                    (number(name), expected)
                })
                .collect();
            for number in self.waiting[target].keys() {
                assert!(found.contains_key(number), "{number} of {target} is gone");
            }
            for number in found.keys() {
                let settled = self.settled[target].remove(number).is_some();
                let expected = self.waiting[target].contains_key(number);
                assert!(
                    expected || settled && crash,
                    "{number} of {target} came again"
                );
            }
            assert_eq!(self.spool.lost(target, Reason::Corrupt), 0);
            self.waiting[target] = found;
        }
    }
}

trait Clear {
    fn clear_leases(&mut self, waiting: &mut [PendingRecords; 2]);
}

impl Clear for Vec<LeasedRecord> {
    fn clear_leases(&mut self, waiting: &mut [PendingRecords; 2]) {
        for leased in self.drain(..) {
            waiting[leased.target].insert(leased.number, leased.expected);
        }
    }
}

fn run(steps: Vec<Step>, settings: Settings) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(async {
        let mut model = Model::new(settings);
        for step in steps {
            model.follow(step).await;
        }
    });
}

fn tight(save_every: u64) -> Settings {
    Settings {
        segment_bytes: 6 << 10,
        save_every,
        ..settings(Path::new(""))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_spool_does_what_a_plain_list_does(
        steps in prop::collection::vec(step(), 1..80),
        save_every in 1..6_u64,
        sync_cursors_after in prop::sample::select(vec![0, 3_600]),
    ) {
        let sync_cursors_after = Duration::from_secs(sync_cursors_after);
        run(steps, Settings { sync_cursors_after, ..tight(save_every) });
    }

    /// Without a sync, a killed process still loses no written record.
    #[test]
    fn a_killed_process_loses_nothing_whatever_the_policy(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let survivable = steps.into_iter().map(|step| match step {
            Step::PowerLoss => Step::Kill,
            other => other,
        });
        run(survivable.collect(), Settings { fsync: Fsync::Never, ..tight(4) });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However small the spool is, the accounts balance, and the limit of bytes holds.
    #[test]
    fn a_spool_that_overflows_accounts_for_everything(
        steps in prop::collection::vec(step(), 20..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(overflow(steps));
    }
}

async fn overflow(steps: Vec<Step>) {
    let settings = Settings {
        max_bytes: 20 << 10,
        ..tight(5)
    };
    let mut sim = Sim::new();
    let mut spool = open(&sim, settings.clone(), &NAMES);
    let mut leases: Vec<(usize, Lease)> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Offer(bytes) => assert!(spool.keep(&format!("{number}-{bytes}")).await),
            Step::Lease(target) => {
                let lease = spool.consumers[target].lease(&LeaseFilter::ANY);
                if let Ok(Some(lease)) = tokio::time::timeout(Duration::from_millis(2), lease).await
                {
                    name(&lease);
                    leases.push((target, lease));
                }
            }
            Step::Ack(at) if !leases.is_empty() => {
                leases.swap_remove(at.index(leases.len())).1.ack()
            }
            Step::Release(at) if !leases.is_empty() => {
                drop(leases.swap_remove(at.index(leases.len())))
            }
            Step::Restart => {
                leases.clear();
                let before = [0, 1].map(|target| spool.counts(target).pending.profiles);
                spool.close();
                spool = open(&sim, settings.clone(), &NAMES);
                for (target, before) in before.into_iter().enumerate() {
                    assert_eq!(spool.counts(target).accepted.profiles, before);
                    assert_eq!(spool.lost(target, Reason::Corrupt), 0);
                }
            }
            Step::Kill => {
                sim = sim.after_kill();
                leases.clear();
                spool = open(&sim, settings.clone(), &NAMES);
            }
            _ => {}
        }
        assert!(sim.bytes() <= settings.max_bytes, "{}", sim.bytes());
        for target in 0..2 {
            spool.counts(target);
        }
    }
}
