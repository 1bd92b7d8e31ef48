//! The promises of every backend.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use pyrotee_queue::{Budget, conformance};

use super::sim::Sim;
use super::support::{open, settings};
use crate::open_spool::start_in;
use crate::{Fsync, Settings};

#[tokio::test]
async fn the_spool_passes_the_conformance_suite() {
    let dirs = RefCell::new(Vec::new());
    conformance::run_on_disk(|targets| {
        let dir = tempfile::tempdir().unwrap();
        let names = (0..).map(|number: u32| format!("target-{number}"));
        let targets = names
            .zip(targets)
            .map(|(name, (limits, ledger))| (name, limits, ledger));
        let spool = settings(dir.path()).start(targets, &Budget::new(1 << 20));
        spool.monitor.wait_until_open().unwrap();
        dirs.borrow_mut().push(dir);
        (Arc::clone(&spool.producer), spool.consumers)
    })
    .await;
}

#[tokio::test]
async fn a_spool_that_never_opens_passes_the_suite_in_memory() {
    let sim = Sim::new();
    sim.fail_prepare(Some(std::io::ErrorKind::WouldBlock));
    conformance::run_before_disk(|targets| {
        let names = (0..).map(|number: u32| format!("target-{number}"));
        let targets = names.zip(targets);
        let targets = targets.map(|(name, (limits, ledger))| (name, limits, ledger));
        let settings = Settings {
            fsync: Fsync::Never,
            ..settings(Path::new("/spool"))
        };
        let storage = Arc::clone(&sim) as _;
        let spool = start_in(settings, storage, targets.collect(), &Budget::new(1 << 20));
        assert!(spool.monitor.wait_until_open().is_err());
        (Arc::clone(&spool.producer), spool.consumers)
    })
    .await;
    assert_eq!(sim.names(), [""; 0]);
}

#[tokio::test]
async fn what_one_target_was_offered_is_not_the_others_after_a_restart_either() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &NAMES);
    assert!(spool.keep("1-10").await);
    let offered = spool.producer.offer_to_target(1, &spool.record("2-10"));
    assert!(offered.receipt.durable().await);
    let killed = sim.after_kill();
    spool.close();
    for (sim, how) in [(killed, "killed"), (sim.after_kill(), "closed")] {
        let spool = open(&sim, settings(Path::new("")), &NAMES);
        let pending = spool.pending().await;
        assert_eq!(
            pending,
            [vec!["1-10"], vec!["1-10", "2-10"], vec!["1-10"]],
            "{how}"
        );
        spool.close();
    }
}
