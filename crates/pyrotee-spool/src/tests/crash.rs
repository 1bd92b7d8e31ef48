//! The process ends or the power fails between any two changes of the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use pyrotee_queue::Reason;

use super::sim::{Sim, Trouble};
use super::support::{ROOMY, TestSpool, eventually, name, open, settings, try_open};
use crate::{Mode, Settings};

const NAMES: [&str; 2] = ["a", "b"];

/// The records that were offered, promised as durable, and acked before the end.
#[derive(Debug, Default)]
struct Told {
    offered: Vec<String>,
    durable: BTreeSet<String>,
    acked: [BTreeSet<String>; 2],
}

fn tight() -> Settings {
    Settings {
        segment_bytes: 4 << 10,
        save_every: 3,
        ..settings(Path::new(""))
    }
}

/// Offers, delivers and settles records, in several segments, some of which are unlinked meanwhile.
async fn live(spool: &TestSpool, told: &mut Told) {
    for round in 0..5 {
        for number in 0..4 {
            let name = format!("{round}{number}-700");
            told.offered.push(name.clone());
            if spool.keep(&name).await {
                told.durable.insert(name);
            }
        }
        for (target, acked) in told.acked.iter_mut().enumerate() {
            for _ in 0..=(2 + target) {
                if spool.counts(target).pending.profiles > 0 {
                    let lease = spool.lease(target).await;
                    acked.insert(name(&lease));
                    lease.ack();
                }
            }
        }
    }
}

/// Opens the directory that is left, and compares its records with those in `told`.
async fn check(sim: &Arc<Sim>, told: &Told, case: &str) {
    let spool =
        try_open(sim, tight(), &NAMES, ROOMY).unwrap_or_else(|error| panic!("{case}: {error}"));
    let pending = spool.pending().await;
    for (target, pending) in pending.iter().enumerate() {
        let counts = spool.counts(target);
        let found: BTreeSet<_> = pending.iter().cloned().collect();
        assert_eq!(found.len(), pending.len(), "{case}: nothing comes twice");
        assert!(pending.is_sorted(), "{case}: the order is kept");
        for name in told.durable.difference(&told.acked[target]) {
            assert!(
                found.contains(name),
                "{case}: {name} of target {target} is gone, {counts:?}"
            );
        }
        // Only records that were not promised as durable may count as damaged.
        let unsafe_ones = told.offered.len() - told.durable.len();
        let corrupt = counts.dropped(Reason::Corrupt).profiles;
        assert!(corrupt <= unsafe_ones as u64, "{case}: {counts:?}");
    }
    assert!(spool.keep("99-10").await, "{case}: it goes on");
    spool.close();
}

#[tokio::test]
async fn what_was_promised_survives_an_end_at_any_change_of_the_disk() {
    let sim = Sim::new();
    let spool = open(&sim, tight(), &NAMES);
    live(&spool, &mut Told::default()).await;
    spool.close();
    let changes = sim.changes();
    assert!(changes > 50, "{changes}");
    for at in 0..changes {
        let sim = Sim::new();
        sim.fail(Some(Trouble::From(at)));
        let settings = Settings {
            // No second attempt: this disk does not come back.
            retry_after: std::time::Duration::from_secs(3_600),
            ..tight()
        };
        let spool = open(&sim, settings, &NAMES);
        let mut told = Told::default();
        live(&spool, &mut told).await;
        // The directories that are left, before the close changes anything.
        let (killed, unplugged) = (sim.after_kill(), sim.after_power_loss());
        check(&killed, &told, &format!("killed at {at}")).await;
        check(&unplugged, &told, &format!("power lost at {at}")).await;
        spool.close();
    }
}

#[tokio::test]
async fn failures_anywhere_lose_nothing() {
    let sim = Sim::new();
    let spool = open(&sim, tight(), &NAMES);
    live(&spool, &mut Told::default()).await;
    spool.close();
    let changes = 0..sim.changes();
    for (at, count) in changes.flat_map(|at| [1, 2, 5].map(|count| (at, count))) {
        let sim = Sim::new();
        sim.fail(Some(Trouble::Between(at, at + count)));
        let spool = open(&sim, tight(), &NAMES);
        let mut told = Told::default();
        live(&spool, &mut told).await;
        let case = format!("{count} failures at {at}");
        for (target, acked) in told.acked.iter().enumerate() {
            let counts = spool.counts(target);
            assert_eq!(counts.sent.profiles, acked.len() as u64, "{case}");
            assert_eq!(counts.accepted.profiles, 20, "{case}");
            let pending = 20 - acked.len() as u64;
            assert_eq!(counts.pending.profiles, pending, "{case}: nothing is lost");
        }
        eventually("the disk is used again", || {
            spool.monitor.mode() == Mode::Disk
        })
        .await;
        spool.close();
        // The close itself may have failed; then records that were acked since the last save come again.
        let spool = open(&sim.after_kill(), tight(), &NAMES);
        let pending = spool.pending().await;
        for (target, pending) in pending.iter().enumerate() {
            let found: BTreeSet<_> = pending.iter().cloned().collect();
            for name in told
                .offered
                .iter()
                .filter(|name| !told.acked[target].contains(*name))
            {
                assert!(found.contains(name), "{case}: {name} of target {target}");
            }
            assert_eq!(spool.lost(target, Reason::Corrupt), 0, "{case}");
        }
        spool.close();
    }
}
