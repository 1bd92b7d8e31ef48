//! A process is killed directly after each step of a change of the targets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::sim::Sim;
use super::support::{TestSpool, check_heads, eventually, open, settings};
use crate::Settings;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The names of the pending records of each target that was ever in force.
type Pending = BTreeMap<&'static str, Vec<String>>;

/// Changes of the list, each followed by a record, whose number is its name.
const LISTS: [&[&str]; 8] = [
    &["a"],
    &["a", "b"],
    &["b"],
    &["b", "a"],
    &["c"],
    &[],
    &["c", "b"],
    &["a", "b", "c"],
];

/// The pending records that a start with `targets` finds for them, and how many it finds for others.
async fn found(sim: &Arc<Sim>, targets: &[&'static str]) -> (Pending, BTreeMap<String, u64>) {
    let spool = open(sim, settings(Path::new("")), targets);
    assert_eq!(spool.monitor.stats().corrupt_records, 0);
    let pending = targets.iter().copied().zip(spool.pending().await);
    let removed = spool.monitor.removed().into_iter();
    let removed = removed.filter(|it| it.has_records());
    let removed = removed.map(|it| (it.name, it.counts.pending.profiles));
    let found = (pending.collect(), removed.collect());
    spool.close();
    found
}

/// Checks what a start finds in the directory, with every list of targets.
async fn check(sim: &Arc<Sim>, expected: &Pending, case: &str) {
    check_heads(sim);
    for mask in 0..8 {
        let named = NAMES.iter().enumerate();
        let targets: Vec<_> = named.filter(|it| mask & (1 << it.0) != 0).collect();
        let targets: Vec<_> = targets.into_iter().map(|(_, name)| *name).collect();
        // A start without a target, and then one with all.
        let killed = sim.after_kill();
        let (pending, removed) = found(&killed, &targets).await;
        for name in NAMES {
            let expected = expected.get(name).cloned().unwrap_or_default();
            match pending.get(name) {
                Some(pending) => assert_eq!(*pending, expected, "{case}: {name}"),
                None => {
                    let removed = removed.get(name).copied().unwrap_or_default();
                    assert_eq!(removed, expected.len() as u64, "{case}: {name} is removed");
                }
            }
        }
        for sim in [&killed, &killed.after_kill()] {
            let (pending, _) = found(sim, &NAMES).await;
            for name in NAMES {
                let expected = expected.get(name).cloned().unwrap_or_default();
                assert_eq!(pending[name], expected, "{case}: {name} returns");
            }
        }
    }
}

async fn keep(spool: &TestSpool, expected: &mut Pending, list: &[&'static str], name: &str) {
    assert!(spool.keep(name).await);
    for target in list {
        expected.entry(target).or_default().push(name.to_owned());
    }
}

#[tokio::test]
async fn a_kill_after_any_step_of_a_change_loses_nothing() {
    for saves_at_once in [false, true] {
        let settings = Settings {
            save_every: if saves_at_once { 1 } else { 1 << 40 },
            ..settings(Path::new(""))
        };
        let sim = Sim::new();
        let mut spool = open(&sim, settings, &[]);
        let mut expected = Pending::new();
        for (step, list) in LISTS.into_iter().enumerate() {
            spool.put_in_force(list);
            let case = format!("{list:?}, {saves_at_once}");
            check(
                &sim.after_kill(),
                &expected,
                &format!("put in force {case}"),
            )
            .await;
            if saves_at_once {
                let saved = || spool.monitor.shared.tracker.with(|it| it.unsaved == 0);
                eventually("the cursors are saved", saved).await;
                check(&sim.after_kill(), &expected, &format!("saved {case}")).await;
            }
            keep(&spool, &mut expected, list, &format!("{step}-100")).await;
            check(&sim.after_kill(), &expected, &format!("offered {case}")).await;
            check(
                &sim.after_power_loss(),
                &expected,
                &format!("power lost {case}"),
            )
            .await;
        }
        spool.close();
        check(&sim, &expected, "closed").await;
    }
}

/// What is offered, delivered and changed in one step.
#[derive(Debug, Clone)]
enum Step {
    PutInForce(usize),
    Offer,
    /// A record that all targets settle, perhaps before it is written.
    Deliver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..LISTS.len()).prop_map(Step::PutInForce),
        Just(Step::Offer),
        Just(Step::Deliver),
    ]
}

async fn run(steps: Vec<Step>, save_every: u64) {
    let settings = Settings {
        segment_bytes: 4 << 10,
        save_every,
        fsync: crate::Fsync::Never,
        ..settings(Path::new(""))
    };
    let sim = Sim::new();
    let mut spool = open(&sim, settings, &["a"]);
    let (mut list, mut places): (&[&str], _) = (&["a"], vec![0]);
    let mut expected = Pending::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::PutInForce(index) => {
                list = LISTS[index];
                places = spool.put_in_force(list);
            }
            Step::Offer => {
                let name = format!("{number}-300");
                keep(&spool, &mut expected, list, &name).await;
            }
            Step::Deliver => {
                drop(spool.offer(&format!("{number}-300")));
                for place in &places {
                    let count = spool.counts(*place).pending.profiles;
                    let mut leases = Vec::new();
                    for _ in 0..count {
                        leases.push(spool.lease(*place).await);
                    }
                    leases.into_iter().for_each(pyrotee_queue::Lease::ack);
                }
                for target in list {
                    expected.remove(target);
                }
            }
        }
    }
    let monitor = spool.monitor.clone();
    let is_saved = || {
        let unsaved = monitor.shared.tracker.with(|tracker| tracker.unsaved);
        unsaved == 0 && monitor.stats().unwritten == 0
    };
    if save_every == 1 {
        eventually("all is saved", is_saved).await;
        check(&sim.after_kill(), &expected, "killed").await;
    }
    spool.close();
    check(&sim, &expected, "closed").await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_target_has_exactly_what_was_offered_while_it_was_in_force(
        steps in prop::collection::vec(step(), 1..24),
        save_every in prop::sample::select(vec![1, 1 << 40]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(run(steps, save_every));
    }
}
