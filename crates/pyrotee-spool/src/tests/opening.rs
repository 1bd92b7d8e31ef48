//! Spools that open late: the reasons for which they wait, and the records that are offered meanwhile.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use pyrotee_queue::{Reason, RetryHistory};
use pyrotee_segments::CURSOR_SLOTS;
use pyrotee_segments::inspect::{Directory, FORMAT_VERSION};
use pyrotee_segments::testing::of_version;

use super::sim::{Process, Sim};
use super::support::{TestSpool, eventually, open, settings, start};
use crate::{Fsync, Mode, Opening, ReplayError, Settings};

pub(super) const NAMES: [&str; 2] = ["a", "b"];

/// Records that an earlier process left. `a` has got the first one.
pub(super) const LEFT: usize = 40;

/// Something that keeps a spool from opening, its removal, and a text in the reason.
type Obstacle = (fn(&Sim), fn(&Sim), &'static str);

const OBSTACLES: [Obstacle; 8] = [
    (
        |sim| sim.fail_prepare(Some(ErrorKind::WouldBlock)),
        |sim| sim.fail_prepare(None),
        "another process uses this spool",
    ),
    (
        |sim| sim.fail_prepare(Some(ErrorKind::PermissionDenied)),
        |sim| sim.fail_prepare(None),
        "permission denied",
    ),
    (
        |sim| sim.fail_prepare(Some(ErrorKind::ReadOnlyFilesystem)),
        |sim| sim.fail_prepare(None),
        "read-only",
    ),
    (
        |sim| sim.fail_prepare(Some(ErrorKind::NotFound)),
        |sim| sim.fail_prepare(None),
        "not found",
    ),
    (
        |sim| sim.fail_list(Some(ErrorKind::StaleNetworkFileHandle)),
        |sim| sim.fail_list(None),
        "stale network",
    ),
    (
        |sim| CURSOR_SLOTS.iter().for_each(|slot| sim.spoil(slot)),
        Sim::heal,
        "cursors.0",
    ),
    (
        |sim| set_version(sim, CURSOR_SLOTS[0], FORMAT_VERSION + 1),
        |sim| set_version(sim, CURSOR_SLOTS[0], 1),
        "written by a newer pyrotee",
    ),
    (
        |sim| set_version(sim, &sim.segments()[1], FORMAT_VERSION + 1),
        |sim| set_version(sim, &sim.segments()[1], FORMAT_VERSION),
        "written by a newer pyrotee",
    ),
];

fn set_version(sim: &Sim, file: &str, version: u32) {
    sim.tamper(file, |bytes| {
        *bytes = of_version(std::mem::take(bytes), version);
    });
}

pub(super) fn in_memory() -> Settings {
    Settings {
        fsync: Fsync::Never,
        save_every: 1,
        ..settings(Path::new("/spool"))
    }
}

/// The directory that a killed process left, and the names of its records.
pub(super) async fn left_behind() -> (Arc<Sim>, Vec<String>) {
    let sim = Sim::new();
    let eager = Settings {
        save_every: 1,
        ..settings(Path::new("/spool"))
    };
    let spool = open(&sim, eager, &NAMES);
    let names = spool.fill(LEFT).await;
    spool.lease(0).await.ack();
    spool.close();
    (sim.after_kill(), names)
}

pub(super) async fn opened(spool: &TestSpool) {
    eventually("the spool opens", || {
        spool.monitor.opening() == Opening::Open
    })
    .await;
}

pub(super) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

pub(super) fn pending(spool: &TestSpool) -> [u64; 2] {
    [0, 1].map(|target| spool.counts(target).pending.profiles)
}

#[tokio::test]
async fn a_spool_waits_for_its_directory_and_takes_the_records_from_memory_along() {
    for (block, unblock, reason) in OBSTACLES {
        let (sim, names) = left_behind().await;
        let before = sim.names();
        block(&sim);
        let spool = start(Arc::clone(&sim) as _, in_memory(), &NAMES);
        let found = spool.monitor.wait_until_open().unwrap_err();
        assert!(found.contains(reason), "{found}");
        let opening = spool.monitor.opening();
        assert!(
            matches!(&opening, Opening::Waiting { reason, .. } if *reason == found),
            "{opening:?}"
        );
        assert_eq!(spool.monitor.mode(), Mode::Waiting, "{reason}");

        let early: Vec<_> = (0..6).map(|number| format!("early-{number}-100")).collect();
        for name in &early {
            assert!(spool.keep(name).await, "{reason}");
        }
        let [acked, released, retried, held] = [
            spool.lease(0).await,
            spool.lease(0).await,
            spool.lease(0).await,
            spool.lease(0).await,
        ];
        assert_eq!(pending(&spool), [6, 6]);
        spool.lease(1).await.lose(Reason::Rejected);
        let stats = spool.monitor.stats();
        assert_eq!((stats.recovered, stats.segments, stats.bytes), (0, 0, 0));
        assert_eq!(stats.quarantined + stats.corrupt_records, 0);
        let names_before: Vec<_> = spool
            .monitor
            .survey()
            .targets
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names_before, NAMES);
        eventually("other attempts", || spool.monitor.stats().troubles > 3).await;
        assert_eq!(sim.names(), before, "{reason}: nothing is created");
        assert_eq!(pending(&spool), [6, 5]);

        unblock(&sim);
        opened(&spool).await;
        assert_eq!(pending(&spool), [LEFT as u64 - 1 + 6, LEFT as u64 + 5]);
        acked.ack();
        drop(released);
        retried.retry(tokio::time::Instant::now(), RetryHistory::default());
        assert!(spool.keep("late-100").await);
        eventually("all is written", || spool.monitor.stats().unwritten == 0).await;
        assert_eq!(spool.monitor.mode(), Mode::Disk, "{reason}");
        assert_eq!(spool.budget.recorded(), 100, "{reason}: one is leased");
        drop(held);
        assert_eq!(pending(&spool), [LEFT as u64 - 1 + 6, LEFT as u64 + 6]);

        let is_saved = || spool.monitor.shared.tracker.with(|it| it.unsaved) == 0;
        eventually("the cursors are saved", is_saved).await;
        // Nothing that was accepted is lost or counted twice, whether the process is killed or not.
        let killed = sim.after_kill();
        let late = ["late-100".to_owned()];
        let for_a = [&names[1..], &early[1..], &late].concat();
        let for_b = [&names[..], &early[1..], &late].concat();
        let found = spool.pending().await;
        assert_eq!(sorted(found[0].clone()), sorted(for_a.clone()), "{reason}");
        assert_eq!(sorted(found[1].clone()), sorted(for_b.clone()), "{reason}");
        spool.close();
        for sim in [killed, sim.after_kill()] {
            let report = Directory::of(Arc::clone(&sim) as _).verify(|_| {}).unwrap();
            assert!(report.is_whole(), "{reason}: {report:?}");
            let spool = open(&sim, settings(Path::new("/spool")), &NAMES);
            let (delivered, counts) = spool.drain().await;
            // In the order in which they were offered.
            assert_eq!(delivered, [for_a.clone(), for_b.clone()], "{reason}");
            assert!(counts.iter().all(|counts| counts.accepted == counts.sent));
        }
    }
}

#[tokio::test]
async fn with_a_promise_of_the_disk_receipts_fail_until_it_is_open() {
    let (sim, names) = left_behind().await;
    sim.fail_prepare(Some(ErrorKind::WouldBlock));
    let spool = start(Arc::clone(&sim) as _, settings(Path::new("/spool")), &NAMES);
    for number in 0..3 {
        let offered = spool.offer(&format!("early-{number}-10"));
        assert_eq!(offered.queued, 2);
        assert!(!offered.receipt.durable().await);
    }
    sim.fail_prepare(None);
    opened(&spool).await;
    assert!(spool.keep("late-10").await);
    assert_eq!(spool.monitor.stats().unwritten, 0, "the earlier ones, too");
    let all = LEFT as u64 + 4;
    assert_eq!(pending(&spool), [all - 1, all]);
    let (delivered, _) = spool.drain().await;
    assert_eq!(delivered[1].len(), names.len() + 4);
}

#[tokio::test]
async fn limits_of_records_apply_until_the_disk_is_open() {
    let limits = pyrotee_queue::Limits {
        records: 3,
        ..super::support::ROOMY
    };
    let sim = Sim::new();
    sim.fail_prepare(Some(ErrorKind::PermissionDenied));
    let start = |targets: &_, budget: &_| {
        let storage = Arc::clone(&sim) as _;
        Ok(crate::open_spool::start_in(
            in_memory(),
            storage,
            targets,
            budget,
        ))
    };
    let spool = super::support::open_with(&["a"], limits, start).unwrap();
    for number in 0..5 {
        let offered = spool.offer(&format!("{number}-10"));
        assert_eq!(offered.queued, usize::from(number < 3));
    }
    assert_eq!(spool.lost(0, Reason::QueueFull), 2);
    sim.fail_prepare(None);
    opened(&spool).await;
    for number in 5..50 {
        assert!(spool.keep(&format!("{number}-10")).await);
    }
    assert_eq!(spool.lost(0, Reason::QueueFull), 2);
    assert_eq!(spool.counts(0).pending.profiles, 48);
}

#[tokio::test]
async fn records_flow_while_segments_are_scanned() {
    let (sim, names) = left_behind().await;
    sim.reads().close();
    let spool = start(Arc::clone(&sim) as _, in_memory(), &NAMES);
    eventually("a read", || sim.reads().is_waiting()).await;
    let opening = spool.monitor.opening();
    assert!(matches!(opening, Opening::Scanning { .. }), "{opening:?}");
    assert_eq!(spool.monitor.mode(), Mode::Waiting);
    for number in 0..4 {
        assert!(spool.keep(&format!("early-{number}-10")).await);
        spool.lease(0).await.ack();
    }
    let refused = spool.control.replay("gone", "a");
    assert_eq!(refused, Err(ReplayError::NotOpen));
    assert!(spool.control.purge_removed(None).is_err());
    assert!(spool.control.purge_quarantined().is_err());
    sim.reads().open();
    opened(&spool).await;
    // The early records are pending for one target only.
    let (delivered, counts) = spool.drain().await;
    assert_eq!(sorted(delivered[0].clone()), sorted(names[1..].to_vec()));
    assert_eq!(delivered[1].len(), names.len() + 4);
    assert_eq!(counts[0].sent.profiles, LEFT as u64 - 1 + 4);
}

#[tokio::test]
async fn a_relay_waits_for_the_lock_of_the_one_before_it() {
    let sim = Sim::new();
    let first = start(Process::of(&sim) as _, in_memory(), &NAMES);
    opened(&first).await;
    for number in 0..20 {
        assert!(first.keep(&format!("old-{number}-10")).await);
    }
    let second = start(Process::of(&sim) as _, in_memory(), &NAMES);
    assert!(
        second
            .monitor
            .wait_until_open()
            .unwrap_err()
            .contains("lock")
    );
    for number in 0..20 {
        assert!(second.keep(&format!("new-{number}-10")).await);
        first.lease(0).await.ack();
    }
    assert_eq!(second.monitor.mode(), Mode::Waiting);
    assert!(first.keep("old-last-10").await);
    first.close();
    opened(&second).await;
    assert_eq!(pending(&second), [21, 41]);
    assert!(second.keep("new-last-10").await);
    let (delivered, _) = second.drain().await;
    assert_eq!(delivered[0].len(), 22);
    assert_eq!(delivered[1].len(), 42);
    // The lock is free again.
    let third = start(Process::of(&sim) as _, in_memory(), &NAMES);
    opened(&third).await;
}

#[tokio::test]
async fn a_torn_end_is_not_cut_before_the_spool_opens() {
    let (sim, names) = left_behind().await;
    CURSOR_SLOTS.iter().for_each(|slot| sim.take_away(slot));
    let segments = sim.segments();
    sim.tamper(segments.last().unwrap(), |bytes| {
        bytes.truncate(bytes.len() - 1);
    });
    // Without cursors, one segment that cannot be read keeps the spool from opening.
    sim.spoil(&segments[0]);
    let before = sim.bytes();
    let spool = start(Arc::clone(&sim) as _, in_memory(), &NAMES);
    assert!(spool.monitor.wait_until_open().is_err());
    eventually("other attempts", || spool.monitor.stats().troubles > 2).await;
    assert_eq!(sim.bytes(), before);
    sim.heal();
    opened(&spool).await;
    assert!(sim.bytes() < before);
    let lost = spool.lost(1, Reason::Corrupt);
    assert_eq!(lost, 1, "its head is whole");
    assert_eq!(pending(&spool)[1], names.len() as u64 - 1);
}
