//! Compares a spool that opens at any time, and whose targets change, with a set of names per target.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use pyrotee_queue::{Lease, LeaseFilter, Reason, RetryHistory};
use tokio::time::{Instant, timeout};

use super::sim::Sim;
use super::support::{TestSpool, check_heads, eventually, name, open, settings, start};
use crate::{Fsync, Opening, Settings};

const NAMES: [&str; 3] = ["a", "b", "c"];

const COUNT: usize = NAMES.len();

#[derive(Debug, Clone)]
enum Step {
    Offer(usize),
    OfferTo(usize),
    Lease(usize),
    Ack(Index),
    Lose(Index),
    Release(Index),
    Retry(Index),
    FallBehind(usize),
    /// Whether each target is in force from now on.
    PutInForce([bool; COUNT]),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2_000_usize).prop_map(Step::Offer),
        2 => (0..COUNT).prop_map(Step::OfferTo),
        8 => (0..COUNT).prop_map(Step::Lease),
        5 => any::<Index>().prop_map(Step::Ack),
        1 => any::<Index>().prop_map(Step::Lose),
        2 => any::<Index>().prop_map(Step::Release),
        1 => any::<Index>().prop_map(Step::Retry),
        1 => (0..COUNT).prop_map(Step::FallBehind),
        3 => any::<[bool; COUNT]>().prop_map(Step::PutInForce),
    ]
}

struct Model {
    spool: TestSpool,
    /// Names of the records that each target has not settled, leased ones included.
    pending: [BTreeSet<String>; COUNT],
    in_force: [bool; COUNT],
    /// Where ledger and consumer of each target are. `None`: this process has had no consumer for the target.
    places: [Option<usize>; COUNT],
    leases: Vec<(usize, Lease)>,
    offered: usize,
}

impl Model {
    async fn follow(&mut self, step: Step) {
        match step {
            Step::Offer(bytes) => self.offer(None, bytes).await,
            Step::OfferTo(target) => self.offer(Some(target), 100).await,
            Step::PutInForce(in_force) => self.put_in_force(in_force),
            Step::Lease(target) => {
                let Some(place) = self.places[target] else {
                    return;
                };
                let lease = self.spool.consumers[place].lease(&LeaseFilter::ANY);
                if let Ok(Some(lease)) = timeout(Duration::from_millis(2), lease).await {
                    assert!(self.pending[target].contains(&name(&lease)));
                    self.leases.push((target, lease));
                }
            }
            Step::FallBehind(target) => {
                if let Some(place) = self.places[target] {
                    self.spool.consumers[place].fall_behind();
                }
            }
            Step::Ack(at) | Step::Lose(at) | Step::Release(at) | Step::Retry(at) => {
                if !self.leases.is_empty() {
                    let (target, lease) = self.leases.swap_remove(at.index(self.leases.len()));
                    self.settle(&step, target, lease);
                }
            }
        }
    }

    async fn offer(&mut self, target: Option<usize>, bytes: usize) {
        let name = format!("{}-{bytes}", self.offered);
        self.offered += 1;
        let record = self.spool.record(&name);
        let offered = match target {
            Some(target) => match self.places[target] {
                Some(place) => {
                    let target = self.spool.ids[place];
                    self.spool.producer.offer_to_target(target, &record)
                }
                None => return,
            },
            None => self.spool.producer.offer(&record),
        };
        let gets = |of: &usize| self.in_force[*of] && target.is_none_or(|it| it == *of);
        let gets: Vec<_> = (0..COUNT).filter(gets).collect();
        assert_eq!((offered.queued, offered.refused), (gets.len(), 0));
        assert!(offered.receipt.durable().await);
        for target in gets {
            self.pending[target].insert(name.clone());
        }
    }

    fn put_in_force(&mut self, in_force: [bool; COUNT]) {
        let targets: Vec<_> = (0..COUNT).filter(|target| in_force[*target]).collect();
        let names: Vec<_> = targets.iter().map(|target| NAMES[*target]).collect();
        let places = self.spool.put_in_force(&names);
        self.in_force = in_force;
        for (target, place) in targets.into_iter().zip(places) {
            self.places[target] = Some(place);
        }
    }

    /// The targets in force, as the first list of a process.
    fn start_anew(&mut self) -> Vec<&'static str> {
        self.places = [None; COUNT];
        let targets: Vec<_> = (0..COUNT).filter(|target| self.in_force[*target]).collect();
        for (place, target) in targets.iter().enumerate() {
            self.places[*target] = Some(place);
        }
        targets.into_iter().map(|target| NAMES[target]).collect()
    }

    fn settle(&mut self, step: &Step, target: usize, lease: Lease) {
        let name = name(&lease);
        match step {
            Step::Ack(_) => lease.ack(),
            Step::Lose(_) => lease.lose(Reason::Rejected),
            Step::Retry(_) => return lease.retry(Instant::now(), RetryHistory::default()),
            _ => return drop(lease),
        }
        assert!(self.pending[target].remove(&name), "{name} was settled");
    }

    /// Checks that the ledgers count the pending records, except those (`left`) that are in no queue yet.
    fn check(&self, left: [usize; COUNT]) {
        let removed = self.spool.monitor.removed();
        let is_open = self.spool.monitor.opening() == Opening::Open;
        for (target, left) in left.into_iter().enumerate() {
            let expected = (self.pending[target].len() - left) as u64;
            let of_removed = removed.iter().find(|it| it.name == NAMES[target]);
            let of_removed = of_removed.map(|it| it.counts.pending.profiles);
            assert!(!self.in_force[target] || of_removed.is_none());
            match self.places[target] {
                Some(place) => {
                    assert_eq!(self.spool.counts(place).pending.profiles, expected);
                    assert!(self.in_force[target] || of_removed == Some(expected));
                }
                None if is_open => assert_eq!(of_removed.unwrap_or_default(), expected),
                None => assert_eq!(of_removed, None),
            }
        }
    }
}

async fn run(before: Vec<Step>, early: Vec<Step>, late: Vec<Step>) {
    let settings = Settings {
        segment_bytes: 6 << 10,
        fsync: Fsync::Never,
        save_every: 1,
        ..settings(Path::new("/spool"))
    };
    let mut sim = Sim::new();
    let mut model = Model {
        spool: open(&sim, settings.clone(), &NAMES[..2]),
        pending: Default::default(),
        in_force: [true, true, false],
        places: [Some(0), Some(1), None],
        leases: Vec::new(),
        offered: 0,
    };
    for step in before {
        model.follow(step).await;
    }
    sim = kill(&mut model, &sim).await;
    sim.fail_prepare(Some(ErrorKind::WouldBlock));
    let names = model.start_anew();
    model.spool = start(Arc::clone(&sim) as _, settings.clone(), &names);
    assert!(model.spool.monitor.wait_until_open().is_err());
    let left = [0, 1, 2].map(|target| model.pending[target].len());
    for step in early {
        model.follow(step).await;
        model.check(left);
    }
    sim.fail_prepare(None);
    // The spool opens during the first of these steps.
    for step in late {
        model.follow(step).await;
    }
    eventually("the spool opens", || {
        model.spool.monitor.opening() == Opening::Open
    })
    .await;
    model.check([0; COUNT]);
    sim = kill(&mut model, &sim).await;
    check_heads(&sim);
    // First with the targets in force, then with all.
    let names = model.start_anew();
    model.spool = open(&sim, settings.clone(), &names);
    model.check([0; COUNT]);
    sim = kill(&mut model, &sim).await;
    model.spool = open(&sim, settings, &NAMES);
    let found = model.spool.pending().await;
    for (found, pending) in found.into_iter().zip(&model.pending) {
        let names: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(names.len(), found.len(), "each comes once: {found:?}");
        assert_eq!(names, *pending);
    }
    assert_eq!(model.spool.monitor.stats().corrupt_records, 0);
}

/// Releases all leases. Returns the directory of a process that is killed once its cursors are saved.
async fn kill(model: &mut Model, sim: &Sim) -> Arc<Sim> {
    model.leases.clear();
    let monitor = model.spool.monitor.clone();
    let is_saved = || {
        let unsaved = monitor.shared.tracker.with(|tracker| tracker.unsaved);
        unsaved == 0 && monitor.stats().unwritten == 0
    };
    eventually("all is saved", is_saved).await;
    sim.after_kill()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_before_a_spool_opens_is_in_it_afterwards(
        before in prop::collection::vec(step(), 0..40),
        early in prop::collection::vec(step(), 0..40),
        late in prop::collection::vec(step(), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(run(before, early, late));
    }
}
