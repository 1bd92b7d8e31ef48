//! Compares a spool that opens at any time with a set of names per target.

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
use super::support::{TestSpool, eventually, name, open, settings, start};
use crate::{Fsync, Opening, Settings};

const NAMES: [&str; 2] = ["a", "b"];

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
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2_000_usize).prop_map(Step::Offer),
        2 => (0..2_usize).prop_map(Step::OfferTo),
        8 => (0..2_usize).prop_map(Step::Lease),
        5 => any::<Index>().prop_map(Step::Ack),
        1 => any::<Index>().prop_map(Step::Lose),
        2 => any::<Index>().prop_map(Step::Release),
        1 => any::<Index>().prop_map(Step::Retry),
        1 => (0..2_usize).prop_map(Step::FallBehind),
    ]
}

struct Model {
    spool: TestSpool,
    /// Names of the records that each target has not settled, leased ones included.
    pending: [BTreeSet<String>; 2],
    leases: Vec<(usize, Lease)>,
    offered: usize,
}

impl Model {
    async fn follow(&mut self, step: Step) {
        match step {
            Step::Offer(bytes) => self.offer(0..2, bytes).await,
            Step::OfferTo(target) => self.offer(target..target + 1, 100).await,
            Step::Lease(target) => {
                let lease = self.spool.consumers[target].lease(&LeaseFilter::ANY);
                if let Ok(Some(lease)) = timeout(Duration::from_millis(2), lease).await {
                    assert!(self.pending[target].contains(&name(&lease)));
                    self.leases.push((target, lease));
                }
            }
            Step::FallBehind(target) => self.spool.consumers[target].fall_behind(),
            Step::Ack(at) | Step::Lose(at) | Step::Release(at) | Step::Retry(at) => {
                if !self.leases.is_empty() {
                    let (target, lease) = self.leases.swap_remove(at.index(self.leases.len()));
                    self.settle(&step, target, lease);
                }
            }
        }
    }

    async fn offer(&mut self, targets: std::ops::Range<usize>, bytes: usize) {
        let name = format!("{}-{bytes}", self.offered);
        self.offered += 1;
        let record = self.spool.record(&name);
        let offered = match targets.len() {
            1 => self.spool.producer.offer_to_target(targets.start, &record),
            _ => self.spool.producer.offer(&record),
        };
        assert!(offered.receipt.durable().await);
        for pending in &mut self.pending[targets] {
            pending.insert(name.clone());
        }
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
    fn check(&self, left: [usize; 2]) {
        for (target, left) in left.into_iter().enumerate() {
            let pending = self.spool.counts(target).pending.profiles;
            let expected = self.pending[target].len() - left;
            assert_eq!(pending, expected as u64);
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
        spool: open(&sim, settings.clone(), &NAMES),
        pending: Default::default(),
        leases: Vec::new(),
        offered: 0,
    };
    for step in before {
        model.follow(step).await;
    }
    sim = kill(&mut model, &sim).await;
    sim.fail_prepare(Some(ErrorKind::WouldBlock));
    model.spool = start(Arc::clone(&sim) as _, settings.clone(), &NAMES);
    assert!(model.spool.monitor.wait_until_open().is_err());
    let left = [0, 1].map(|target| model.pending[target].len());
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
    model.check([0, 0]);
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
