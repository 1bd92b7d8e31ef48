//! Spools that are closed while they wait, scan or hang.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyrotee_queue::{Reason, Tally};

use super::opening::{LEFT, NAMES, in_memory, left_behind, pending};
use super::sim::Sim;
use super::support::{TestSpool, eventually, open, settings, start};
use crate::Settings;

#[tokio::test]
async fn a_scan_ends_when_the_spool_is_closed_and_memory_is_lost_as_shutdown() {
    let (sim, _) = left_behind().await;
    let before: u64 = sim.bytes();
    sim.reads().close();
    let spool = start(Arc::clone(&sim) as _, in_memory(), &NAMES);
    assert!(spool.keep("early-10").await);
    let read_before = sim.read();
    eventually("a read", || sim.reads().is_waiting()).await;
    let TestSpool {
        closer,
        ledgers,
        monitor,
        ..
    } = spool;
    let closing = std::thread::spawn(move || {
        let began = Instant::now();
        (
            closer.close(began + Duration::from_secs(10)),
            began.elapsed(),
        )
    });
    eventually("the close begins", || {
        monitor.shared.lifecycle.is_stopping()
    })
    .await;
    sim.reads().open();
    let (has_ended, took) = closing.join().unwrap();
    assert!(has_ended && took < Duration::from_secs(1), "{took:?}");
    // Only the read that was under way is finished.
    assert!(sim.read() - read_before <= 1 << 20);
    assert_eq!(sim.bytes(), before);
    let one = Tally {
        profiles: 1,
        bytes: 10,
    };
    for ledger in ledgers {
        let counts = ledger.snapshot();
        assert!(counts.balance());
        assert_eq!(
            (counts.accepted, counts.dropped(Reason::Shutdown)),
            (one, one)
        );
    }
    let spool = open(&sim, settings(Path::new("/spool")), &NAMES);
    assert_eq!(pending(&spool), [LEFT as u64 - 1, LEFT as u64]);
}

#[tokio::test]
async fn a_spool_that_waits_is_closed_at_once() {
    let sim = Sim::new();
    sim.fail_prepare(Some(ErrorKind::WouldBlock));
    let patient = Settings {
        retry_after: Duration::from_secs(3_600),
        ..in_memory()
    };
    let spool = start(Arc::clone(&sim) as _, patient, &NAMES);
    assert!(spool.monitor.wait_until_open().is_err());
    assert!(spool.keep("early-10").await);
    let began = Instant::now();
    let TestSpool {
        closer,
        ledgers,
        producer,
        ..
    } = spool;
    assert!(closer.close(began + Duration::from_secs(10)));
    assert!(began.elapsed() < Duration::from_secs(1));
    let refused = ledgers[0].snapshot();
    assert_eq!(refused.dropped(Reason::Shutdown).profiles, 1);
    drop(producer);
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_the_close_until_its_deadline_and_nothing_else() {
    for hangs_at in [Sim::syncs, Sim::reads] {
        let (sim, _) = left_behind().await;
        let is_sync = std::ptr::eq(hangs_at(&sim), sim.syncs());
        let spool = match is_sync {
            true => open(&sim, settings(Path::new("/spool")), &NAMES),
            false => {
                sim.reads().close();
                start(Arc::clone(&sim) as _, in_memory(), &NAMES)
            }
        };
        hangs_at(&sim).close();
        let offered = spool.offer("early-10");
        assert_eq!(offered.queued, 2);
        eventually("the disk hangs", || hangs_at(&sim).is_waiting()).await;
        let began = Instant::now();
        let TestSpool {
            closer,
            ledgers,
            producer,
            consumers,
            ..
        } = spool;
        assert!(!closer.close(began + Duration::from_millis(100)));
        drop((producer, consumers, offered));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(ledgers.iter().all(|ledger| ledger.snapshot().balance()));
        hangs_at(&sim).open();
    }
}
