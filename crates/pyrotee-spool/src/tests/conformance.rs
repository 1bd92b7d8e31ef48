//! The promises of every backend.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use pyrotee_queue::{Budget, OpenBackend, conformance};

use super::sim::Sim;
use super::support::{open, settings};
use crate::open_spool::start_in;
use crate::{Fsync, OpenSpool, Settings};

fn backend(spool: OpenSpool) -> OpenBackend {
    OpenBackend {
        producer: spool.producer,
        registry: spool.registry,
        queues: spool.queues,
    }
}

#[tokio::test]
async fn the_spool_passes_the_conformance_suite() {
    let dirs = RefCell::new(Vec::new());
    conformance::run_on_disk(|targets| {
        let dir = tempfile::tempdir().unwrap();
        let spool = settings(dir.path()).start(targets, &Budget::new(1 << 20));
        spool.monitor.wait_until_open().unwrap();
        dirs.borrow_mut().push(dir);
        backend(spool)
    })
    .await;
}

#[tokio::test]
async fn a_spool_that_never_opens_passes_the_suite_in_memory() {
    let sim = Sim::new();
    sim.fail_prepare(Some(std::io::ErrorKind::WouldBlock));
    conformance::run_before_disk(|targets| {
        let settings = Settings {
            fsync: Fsync::Never,
            ..settings(Path::new("/spool"))
        };
        let storage = Arc::clone(&sim) as _;
        let spool = start_in(settings, storage, &targets, &Budget::new(1 << 20));
        assert!(spool.monitor.wait_until_open().is_err());
        backend(spool)
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
    let offered = spool
        .producer
        .offer_to_target(spool.ids[1], &spool.record("2-10"));
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
