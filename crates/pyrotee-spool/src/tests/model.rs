//! Compares the spool with a plain list per target, across changes of the targets, restarts, kills and power losses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use pyrotee_queue::{Lane, Lease, LeaseFilter, Reason, RetryHistory};
use tokio::time::Instant;

use super::sim::Sim;
use super::support::{TestSpool, check_heads, name, open, settings};
use crate::{Fsync, Settings};

const NAMES: [&str; 3] = ["a", "b", "c"];

const COUNT: usize = NAMES.len();

#[derive(Debug, Clone)]
pub(super) enum Step {
    Offer(usize),
    Lease(usize),
    Ack(Index),
    Lose(Index),
    Release(Index),
    Retry(Index),
    FallBehind(usize),
    /// Whether each target is in force from now on.
    PutInForce([bool; COUNT]),
    EndDraining(usize),
    Restart,
    Kill,
    PowerLoss,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3_000_usize).prop_map(Step::Offer),
        10 => (0..COUNT).prop_map(Step::Lease),
        6 => any::<Index>().prop_map(Step::Ack),
        1 => any::<Index>().prop_map(Step::Lose),
        2 => any::<Index>().prop_map(Step::Release),
        1 => any::<Index>().prop_map(Step::Retry),
        1 => (0..COUNT).prop_map(Step::FallBehind),
        3 => any::<[bool; COUNT]>().prop_map(Step::PutInForce),
        1 => (0..COUNT).prop_map(Step::EndDraining),
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
    in_force: [bool; COUNT],
    /// Where ledger and consumer of each target are. `None`: the target is removed, and this process has had no consumer
    /// for it.
    places: [Option<usize>; COUNT],
    /// The draining of the target has ended, so that its consumer leases nothing.
    has_ended: [bool; COUNT],
    /// Processes were killed since the last one that had a consumer for the target.
    was_killed: [bool; COUNT],
    waiting: [PendingRecords; COUNT],
    /// Settled by a target, and perhaps not noted on disk.
    settled: [PendingRecords; COUNT],
    leased: Vec<LeasedRecord>,
    offered: usize,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let sim = Sim::new();
        Self {
            spool: open(&sim, settings.clone(), &NAMES[..2]),
            sim,
            settings,
            in_force: [true, true, false],
            places: [Some(0), Some(1), None],
            has_ended: [false; COUNT],
            was_killed: [false; COUNT],
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
            Step::PutInForce(in_force) => self.put_in_force(in_force).await,
            Step::EndDraining(target) => {
                if let Some(place) = self.places[target] {
                    self.spool.registry.end_draining(self.spool.ids[place]);
                    self.has_ended[target] |= !self.in_force[target];
                }
            }
            Step::FallBehind(target) => {
                let Some(place) = self.places[target] else {
                    return;
                };
                self.spool.consumers[place].fall_behind();
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
        self.check();
    }

    fn check(&self) {
        let removed = self.spool.monitor.removed();
        for (target, name) in NAMES.into_iter().enumerate() {
            let leased = self.leased.iter().filter(|it| it.target == target).count();
            let expected = (self.waiting[target].len() + leased) as u64;
            let found = removed.iter().find(|it| it.name == name);
            let of_removed = found.map_or(0, |it| it.counts.pending.profiles);
            assert!(!self.in_force[target] || found.is_none(), "{target}");
            match self.places[target] {
                Some(place) => {
                    assert_eq!(self.spool.counts(place).pending.profiles, expected);
                    assert!(self.in_force[target] || of_removed == expected);
                }
                // Settled records may come again.
                None if self.was_killed[target] => {
                    let settled = self.settled[target].len() as u64;
                    assert!((expected..=expected + settled).contains(&of_removed));
                }
                None => assert_eq!(of_removed, expected, "{target} is removed"),
            }
        }
    }

    async fn put_in_force(&mut self, in_force: [bool; COUNT]) {
        let targets: Vec<_> = (0..COUNT).filter(|target| in_force[*target]).collect();
        let names: Vec<_> = targets.iter().map(|target| NAMES[*target]).collect();
        let places = self.spool.put_in_force(&names);
        self.in_force = in_force;
        for (target, place) in targets.into_iter().zip(places) {
            self.has_ended[target] = false;
            if self.places[target].replace(place).is_none() {
                self.find(target).await;
            }
        }
    }

    async fn offer(&mut self, bytes: usize) {
        let tags = ["-t", ""][self.offered % 2];
        let name = format!("{0}-h{1}{tags}-{bytes}", self.offered, self.offered % 3);
        assert!(self.spool.keep(&name).await);
        let waiting = self.waiting.iter_mut().zip(self.in_force);
        for (waiting, _) in waiting.filter(|(_, is_in_force)| *is_in_force) {
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
        let Some(place) = self.places[target].filter(|_| !self.has_ended[target]) else {
            return;
        };
        let waiting = &mut self.waiting[target];
        let of = |lane| {
            let due = |expected: &ExpectedRecord| expected.lane == lane && !expected.deferred;
            waiting
                .iter()
                .find(|(_, expected)| due(expected))
                .map(|(number, _)| *number)
        };
        let Some(number) = of(Lane::Fresh).or_else(|| of(Lane::Backlog)) else {
            let nothing = self.spool.consumers[place].lease(&LeaseFilter::ANY);
            let nothing = tokio::time::timeout(Duration::ZERO, nothing).await;
            // The queue of a removed target ends.
            assert!(nothing.is_err() || !self.in_force[target] && matches!(nothing, Ok(None)));
            return;
        };
        let expected = waiting.remove(&number).unwrap();
        let lease = self.spool.lease(place).await;
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

    /// A new process opens the directory that the old one left, with the targets in force.
    async fn restart(&mut self, crash: bool, left: impl FnOnce(&Arc<Sim>) -> Arc<Sim>) {
        let targets: Vec<_> = (0..COUNT).filter(|target| self.in_force[*target]).collect();
        let names: Vec<_> = targets.iter().map(|target| NAMES[*target]).collect();
        let found = if crash {
            left(&self.sim)
        } else {
            self.release_all();
            let settings = self.settings.clone();
            let after = Sim::new();
            let spool = std::mem::replace(&mut self.spool, open(&after, settings, &[]));
            spool.close();
            left(&self.sim)
        };
        check_heads(&found);
        let spool = open(&found, self.settings.clone(), &names);
        if crash {
            self.release_all();
        }
        self.sim = found;
        self.spool = spool;
        self.places = [None; COUNT];
        self.has_ended = [false; COUNT];
        for was_killed in &mut self.was_killed {
            *was_killed |= crash;
        }
        for expected in self.waiting.iter_mut().flat_map(BTreeMap::values_mut) {
            expected.lane = Lane::Backlog;
            expected.deferred = false;
        }
        for (place, target) in targets.into_iter().enumerate() {
            self.places[target] = Some(place);
            self.find(target).await;
        }
    }

    /// Takes over the records that a new process has for a target. After a crash, settled records may come again, but no
    /// pending record may be missing.
    async fn find(&mut self, target: usize) {
        let place = self.places[target].unwrap();
        let crash = std::mem::take(&mut self.was_killed[target]);
        let number = |name: &String| name.split('-').next().unwrap().parse::<usize>().unwrap();
        let pending = self.spool.pending_of(place).await;
        let found = pending.iter().map(|name| {
            let expected = ExpectedRecord {
                name: name.clone(),
                lane: Lane::Backlog,
                deferred: false,
            };
            (number(name), expected)
        });
        let found: PendingRecords = found.collect();
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
        assert_eq!(self.spool.lost(place, Reason::Corrupt), 0);
        self.waiting[target] = found;
    }

    fn release_all(&mut self) {
        for leased in self.leased.drain(..) {
            self.waiting[leased.target].insert(leased.number, leased.expected);
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

pub(super) fn tight(save_every: u64) -> Settings {
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
