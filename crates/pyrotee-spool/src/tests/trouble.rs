//! Disks that fail and recover, restarts and removed targets.

use std::path::Path;
use std::time::Duration;

use pyrotee_queue::{Budget, Lane, Limits, Reason, WhenFull};

use super::sim::{Sim, Trouble};
use super::support::{
    ROOMY, TestSpool, deadline, eventually, name, open, open_on_disk, open_with, settings, targets,
    try_open,
};
use crate::{Fsync, Mode, Settings};

#[tokio::test]
async fn without_a_promise_of_the_disk_memory_is_as_good_as_it_gets() {
    for fsync in [Fsync::Interval(Duration::from_millis(1)), Fsync::Never] {
        let sim = Sim::new();
        let settings = Settings {
            fsync,
            ..settings(Path::new(""))
        };
        let spool = try_open(&sim, settings, &["a"], ROOMY).unwrap();
        assert!(spool.keep("0-1000").await);
        sim.fail(Some(Trouble::Full));
        for number in 1..4 {
            assert!(spool.keep(&format!("{number}-1000")).await, "{fsync:?}");
        }
        assert_eq!(spool.monitor.mode(), Mode::MemoryOnly);
    }
}

#[tokio::test]
async fn what_a_target_rejects_before_it_is_written_needs_no_disk() {
    // The writer sleeps while the target responds.
    let settings = Settings {
        min_sleep: Duration::from_millis(300),
        ..settings(Path::new(""))
    };
    let spool = try_open(&Sim::new(), settings, &["a"], ROOMY).unwrap();
    assert!(spool.keep("0-1000").await);
    let offered = spool.offer("1-1000");
    spool.lease(0).await.ack();
    spool.lease(0).await.lose(Reason::Rejected);
    assert!(
        offered.receipt.durable().await,
        "whoever sends it again is told the same"
    );
}

#[tokio::test]
async fn a_full_disk_means_memory_under_the_limits_and_an_end_of_it_disk_again() {
    let sim = Sim::new();
    let limits = Limits {
        records: 3,
        bytes: 1 << 20,
        when_full: WhenFull::DropNewest,
    };
    let spool = try_open(&sim, settings(Path::new("")), &["a"], limits).unwrap();
    for number in 0..5 {
        assert!(spool.keep(&format!("{number}-1000")).await);
    }
    sim.fail(Some(Trouble::Full));
    assert!(!spool.keep("5-1000").await, "a receipt does not lie");
    assert_eq!(spool.monitor.mode(), Mode::MemoryOnly);
    for (number, taken) in [(6, 1), (7, 1), (8, 0), (9, 0)] {
        let offered = spool.offer(&format!("{number}-1000"));
        assert_eq!(offered.queued, taken);
        assert!(taken == 0 || !offered.receipt.durable().await);
    }
    assert_eq!(spool.lost(0, Reason::QueueFull), 2, "three are held");
    let lease = spool.lease(0).await;
    assert_eq!(name(&lease), "0-1000", "what is on disk is still delivered");
    lease.ack();
    sim.fail(None);
    eventually("the disk is used again", || {
        spool.monitor.mode() == Mode::Disk
    })
    .await;
    assert_eq!(spool.budget.recorded(), 0);
    assert!(spool.keep("10-1000").await);
    let expected: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 10]
        .map(|number| format!("{number}-1000"))
        .into();
    assert_eq!(spool.pending().await[0], expected);
    spool.close();
    let spool = open(&sim.after_power_loss(), settings(Path::new("")), &["a"]);
    assert_eq!(spool.pending().await, [expected]);
}

#[tokio::test]
async fn an_idle_spool_finds_out_by_itself_that_the_disk_is_back() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    sim.fail(Some(Trouble::Full));
    assert!(!spool.keep("0-1000").await);
    spool.lease(0).await.ack();
    sim.fail(None);
    eventually("the disk is used again", || {
        spool.monitor.mode() == Mode::Disk
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_written_before_the_end_is_lost_as_shutdown() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    assert!(spool.keep("0-1000").await);
    sim.fail(Some(Trouble::Full));
    assert!(!spool.keep("1-1000").await);
    let counts = spool.shut_down();
    assert_eq!(counts.pending.profiles, 1, "it is on disk");
    assert_eq!(counts.dropped(Reason::Shutdown).profiles, 1);
}

/// A spool in a directory of the operating system, with one record, and the directory.
async fn on_disk() -> (tempfile::TempDir, std::path::PathBuf, Settings, TestSpool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let settings = Settings {
        save_every: 1,
        ..settings(&path)
    };
    let open = |targets: &_, budget: &_| open_on_disk(settings.clone(), targets, budget);
    let spool = open_with(&["a"], ROOMY, open).unwrap();
    assert!(spool.keep("0-1000").await);
    (dir, path, settings, spool)
}

/// Waits until the spool has noticed that its directory is gone.
async fn in_trouble(spool: &TestSpool) {
    // The segment is open, so that the record may still be written. Saving the cursors fails.
    spool.keep("1-1000").await;
    spool.lease(0).await.ack();
    eventually("trouble", || spool.monitor.mode() == Mode::MemoryOnly).await;
}

#[tokio::test]
async fn nothing_is_created_in_place_of_a_directory_that_has_vanished() {
    let (dir, path, settings, spool) = on_disk().await;
    let away = dir.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    in_trouble(&spool).await;
    assert!(!path.exists());
    // The directory below a mount that has vanished, with a file of an earlier spool.
    std::fs::create_dir(&path).unwrap();
    let below = "cursors.0";
    std::fs::write(path.join(below), "of another spool").unwrap();
    let troubles = spool.monitor.stats().troubles;
    eventually("other attempts", || {
        spool.monitor.stats().troubles > troubles + 3
    })
    .await;
    assert_eq!(spool.monitor.mode(), Mode::MemoryOnly);
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(
        std::fs::read(path.join(below)).unwrap(),
        b"of another spool"
    );
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    eventually("the disk is used again", || {
        spool.monitor.mode() == Mode::Disk
    })
    .await;
    assert!(spool.keep("2-1000").await);
    let again = open_on_disk(settings.clone(), &[], &Budget::new(1));
    assert!(again.unwrap_err().contains("another process"));
    assert_eq!(spool.pending().await[0], ["1-1000", "2-1000"]);
    assert_eq!(spool.counts(0).dropped(Reason::DiskError).profiles, 0);
}

#[tokio::test]
async fn a_file_that_is_missing_with_its_directory_is_trouble_and_not_loss() {
    let (dir, path, settings, spool) = on_disk().await;
    spool.close();
    // A link to itself cannot be opened.
    let files = std::fs::read_dir(&path)
        .unwrap()
        .map(|it| it.unwrap().path());
    let segment = files
        .into_iter()
        .find(|it| it.extension().is_some_and(|it| it == "log"));
    let segment = segment.unwrap();
    let taken = segment.with_extension("taken");
    std::fs::rename(&segment, &taken).unwrap();
    std::os::unix::fs::symlink(&segment, &segment).unwrap();
    let open = |targets: &_, budget: &_| open_on_disk(settings.clone(), targets, budget);
    let spool = open_with(&["a"], ROOMY, open).unwrap();
    assert_eq!(spool.monitor.mode(), Mode::ReadErrors);
    let away = dir.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    let troubles = spool.monitor.stats().troubles;
    eventually("attempts", || spool.monitor.stats().troubles > troubles + 3).await;
    assert_eq!(spool.lost(0, Reason::Corrupt), 0);
    std::fs::rename(&away, &path).unwrap();
    std::fs::rename(&taken, &segment).unwrap();
    eventually("the record", || spool.counts(0).pending.profiles == 1).await;
    assert_eq!(name(&spool.lease(0).await), "0-1000");
}

#[tokio::test]
async fn a_lock_file_of_another_process_is_trouble_and_a_missing_one_is_made_anew() {
    let (_dir, path, settings, spool) = on_disk().await;
    let lock = path.join("lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::write(&lock, "").unwrap();
    // Makes the writer try the directory again.
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    in_trouble(&spool).await;
    std::fs::rename(path.with_extension("away"), &path).unwrap();
    let troubles = spool.monitor.stats().troubles;
    eventually("other attempts", || {
        spool.monitor.stats().troubles > troubles + 3
    })
    .await;
    assert_eq!(spool.monitor.mode(), Mode::MemoryOnly);
    std::fs::remove_file(&lock).unwrap();
    eventually("the disk is used again", || {
        spool.monitor.mode() == Mode::Disk
    })
    .await;
    assert!(lock.exists());
    let again = open_on_disk(settings, &[], &Budget::new(1));
    assert!(again.unwrap_err().contains("another process"));
    spool.close();
}

#[tokio::test]
async fn a_second_process_is_told_which_directory_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let open = || open_on_disk(settings(dir.path()), &[], &Budget::new(1));
    let first = open().unwrap();
    let error = open().unwrap_err();
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    assert!(first.closer.close(deadline()));
    assert!(open().unwrap().closer.close(deadline()));
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let impossible = open_on_disk(settings(&file), &[], &Budget::new(1));
    assert!(impossible.unwrap_err().contains("check its owner"));
}

#[tokio::test]
async fn a_restart_finds_the_backlog_and_what_was_in_flight() {
    let sim = Sim::new();
    let eager = Settings {
        save_every: 1,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, eager.clone(), &["a", "b"]);
    let names = spool.fill(5).await;
    spool.lease(0).await.ack();
    let in_flight = [spool.lease(0).await, spool.lease(0).await];
    spool.lease(1).await.ack();
    assert!(spool.closer.close(deadline()));
    let spool = open(&sim.after_kill(), eager, &["b", "a"]);
    let counts = spool.counts(1);
    assert_eq!((counts.accepted.profiles, counts.pending.profiles), (4, 4));
    let stats = spool.monitor.stats();
    assert_eq!((stats.recovered, stats.redelivered), (8, 2));
    assert_eq!(spool.lease(0).await.lane(), Lane::Backlog);
    assert_eq!(
        spool.pending().await,
        [names[1..].to_vec(), names[1..].to_vec()]
    );
    drop(in_flight);
}

#[tokio::test]
async fn targets_are_known_by_their_names() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a", "b"]);
    let names = spool.fill(3).await;
    spool.close();
    // b is removed, and c is new: c gets no earlier record.
    let spool = open(&sim, settings(Path::new("")), &["c", "a"]);
    assert_eq!(spool.pending().await, [vec![], names.clone()]);
    assert_eq!(spool.monitor.stats().removed_targets, 1);
    assert!(spool.keep("new-10").await);
    let fresh = spool.lease(1).await;
    assert_eq!(name(&fresh), "new-10");
    fresh.ack();
    spool.close();
    // b is configured again, and gets the records that it had not settled, but none that was offered while it was
    // removed.
    let spool = open(&sim, settings(Path::new("")), &["b", "c", "a"]);
    let new = vec!["new-10".to_owned()];
    assert_eq!(spool.pending().await, [names.clone(), new, names]);
    assert_eq!(spool.lost(0, Reason::Corrupt), 0);
}

#[tokio::test]
async fn a_target_that_is_gone_for_too_long_keeps_no_segment() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a", "gone"]);
    spool.fill(100).await;
    for _ in 0..100 {
        spool.lease(0).await.ack();
    }
    spool.close();
    assert!(sim.segments().len() > 4);
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    assert!(spool.keep("x-10").await);
    assert!(sim.segments().len() > 4, "it may come back");
    spool.close();
    let impatient = Settings {
        keep_removed_for: Duration::ZERO,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, impatient, &["a"]);
    eventually("its records are dropped", || sim.segments().len() == 1).await;
    let stats = spool.monitor.stats();
    assert_eq!((stats.removed_targets, spool.lost_of_removed()), (0, 100));
    assert_eq!(spool.pending().await, [["x-10"]]);
}

#[tokio::test]
async fn a_removed_target_wants_nothing_again_that_it_had_or_that_was_given_up() {
    let impatient = Settings {
        keep_removed_for: Duration::ZERO,
        ..settings(Path::new(""))
    };
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["had", "given-up", "b"]);
    let names = spool.fill(3).await;
    for _ in 0..3 {
        spool.lease(0).await.ack();
    }
    spool.close();
    // The records stay in the spool, for b.
    let spool = open(&sim, impatient, &["b"]);
    eventually("the drop", || spool.lost_of_removed() == 3).await;
    spool.close();
    for _ in 0..2 {
        let spool = open(&sim, settings(Path::new("")), &["b"]);
        assert_eq!(spool.monitor.stats().removed_targets, 0);
        spool.close();
    }
    let spool = open(&sim, settings(Path::new("")), &["had", "given-up", "b"]);
    assert_eq!(spool.pending().await, [vec![], vec![], names]);
    spool.close();
}

#[tokio::test]
async fn a_spool_closes_by_itself_when_nobody_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open_on_disk(
        settings(dir.path()),
        &targets(&["a"], ROOMY),
        &Budget::new(1_000),
    );
    drop(spool.unwrap());
    eventually("the lock is free", || {
        open_on_disk(settings(dir.path()), &[], &Budget::new(1)).is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_directory_with_other_files_alone_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    std::fs::create_dir(dir.path().join("lost+found")).unwrap();
    std::fs::write(dir.path().join("passwd"), "mine").unwrap();
    let open = || open_on_disk(settings(dir.path()), &[], &Budget::new(1));
    let reason = open().err().unwrap();
    assert!(
        reason.contains("has other files, such as passwd") && reason.contains("spool.dir"),
        "{reason}"
    );
    assert_eq!(names(), ["lost+found", "passwd"]);

    std::fs::remove_file(dir.path().join("passwd")).unwrap();
    drop(open().unwrap());
    // From now on the directory is a spool, and other files in it are left alone.
    std::fs::write(dir.path().join("passwd"), "mine").unwrap();
    drop(open().unwrap());
    assert!(names().contains(&"passwd".into()));
}
