use std::fs;
use std::sync::mpsc;

use pyrotee_delivery::DeadLetterReason;

use super::super::dead_letters::{DeadLetters, Settings, Stats};
use super::super::opening::{Directory, Gate, Opening};
use super::super::store::tests::{Home, record};
use super::*;

/// Longer than any wait in these tests.
const LONG: Duration = Duration::from_secs(30);

fn offer(sink: &DeadLetterSink, record: &Arc<Record>) {
    sink.offer(&DeadLetter {
        target: "central",
        record,
        reason: DeadLetterReason::Rejected,
        tries: 1,
        status: Some(400),
        response: "no",
    });
}

fn settings(home: &Home) -> Settings {
    Settings {
        dir: home.dir(),
        max_bytes: 1 << 20,
        most_waiting: 1 << 30,
        supervisor: Supervisor::default(),
    }
}

fn open_gate() -> Gate {
    Box::new(|| Ok(()))
}

/// The counts of a writer that was offered `times` letters for `home`, after `change` was called.
fn written(home: &Home, bytes: usize, times: u64, change: impl FnOnce()) -> Stats {
    let DeadLetters {
        monitor,
        writer,
        sink,
    } = DeadLetters::open(settings(home)).unwrap();
    change();
    let record = record("name=a", bytes);
    (0..times).for_each(|_| offer(&sink, &record));
    assert_eq!(writer.close(LONG), 0);
    offer(&sink, &record);
    assert_eq!(Arc::strong_count(&record), 1, "nothing is held");
    assert_eq!(monitor.stats().lost_full, 1, "the last one");
    monitor.stats()
}

#[test]
fn what_waits_at_the_end_is_written() {
    let home = Home::new();
    assert_eq!(written(&home, 5, 30, || ()).kept, 30);
    assert_eq!(home.open().size().letters, 30);
}

#[test]
fn a_disk_that_fails_and_a_letter_that_is_too_large_cost_letters_and_nothing_else() {
    let home = Home::new();
    let gone = || fs::remove_dir_all(home.dir()).unwrap();
    assert_eq!(written(&home, 5, 3, gone).lost_disk_error, 3);
    assert_eq!(written(&home, 600_000, 2, || ()).lost_too_large, 2);
}

#[test]
fn a_panic_costs_one_letter_and_not_the_thread() {
    let (home, supervisor) = (Home::new(), Supervisor::default());
    let ((sender, messages), (_opening, stop)) = (channel(), channel());
    let counters = Arc::<Counters>::default();
    let sink = intake(sender, Arc::clone(&counters), 1 << 30);
    for name in ["name=a", "name=poison", "name=b", "name=poison", "name=c"] {
        offer(&sink, &record(name, 10));
    }
    drop(sink);
    let thread = WriterThread {
        opener: Opener {
            dir: home.dir(),
            gate: open_gate(),
            directory: Arc::new(Directory::closed(1 << 20)),
        },
        stop,
        messages,
        counters: Arc::clone(&counters),
        supervisor: supervisor.clone(),
    };
    thread.write(|record, _, _| {
        assert!(&*record.head().query != "name=poison", "the store broke");
        Ok(())
    });
    assert_eq!(counters.kept.load(Relaxed), 3);
    assert_eq!(counters.lost_panic.load(Relaxed), 2);
    assert_eq!(supervisor.panics(Part::DeadLetters), 2);
    assert_eq!(counters.unwritten.letters(), 0, "nothing waits");
}

#[test]
fn what_is_too_much_for_the_disk_is_lost_at_once_and_one_may_always_wait() {
    for (most_waiting, bytes, waiting) in [
        (1 << 20, 10, 100),
        (100_000, 10, 29),
        (100_000, 30_000, 2),
        (1_000, 1_000, 1),
        (1_000, 5_000, 1),
    ] {
        let counters = Arc::<Counters>::default();
        // No thread receives the messages.
        let (sender, messages) = channel();
        let sink = intake(sender, Arc::clone(&counters), most_waiting);
        let record = record("name=a", bytes);
        (0..100).for_each(|_| offer(&sink, &record));
        assert_eq!(Arc::strong_count(&record), 1 + waiting, "{bytes}");
        assert_eq!(counters.unwritten.letters(), waiting as u64);
        assert_eq!(counters.lost_full.load(Relaxed), 100 - waiting as u64);
        drop(messages);
    }
}

#[test]
fn letters_wait_in_memory_until_the_directory_can_be_opened() {
    let home = Home::new();
    // A regular file in the place of the directory: not even root can use it as a directory.
    fs::write(home.dir(), "in the way").unwrap();
    let letters = DeadLetters::start(settings(&home), open_gate()).unwrap();
    let record = record("name=a", 5);
    (0..10).for_each(|_| offer(&letters.sink, &record));
    let waits = |words: &str| {
        while !matches!(letters.monitor.opening(), Opening::Waiting { reason, .. } if reason.contains(words))
        {
            std::thread::yield_now();
        }
    };
    waits("failed to use the dead letters in ");
    let error = letters.monitor.store().unwrap_err().to_string();
    assert!(
        error.starts_with("dead letters are not open yet: "),
        "{error}"
    );
    assert_eq!(letters.monitor.unwritten(), 10);
    fs::remove_file(home.dir()).unwrap();
    while letters.monitor.opening() != Opening::Open {
        std::thread::yield_now();
    }
    offer(&letters.sink, &record);
    assert_eq!(letters.writer.close(LONG), 0);
    let stats = letters.monitor.stats();
    assert!(stats.is_open);
    assert_eq!(
        (stats.kept, stats.size.letters, letters.monitor.unwritten()),
        (11, 11, 0)
    );
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for() {
    let home = Home::new();
    let first = DeadLetters::open(settings(&home)).unwrap();
    let second = DeadLetters::start(settings(&home), open_gate()).unwrap();
    let record = record("name=a", 5);
    offer(&first.sink, &record);
    offer(&second.sink, &record);
    let is_locked = || match second.monitor.opening() {
        Opening::Waiting { reason, .. } => reason.contains("another process"),
        Opening::Open => panic!("both have it"),
    };
    while !is_locked() {
        std::thread::yield_now();
    }
    assert_eq!(first.writer.close(LONG), 0);
    drop(first.monitor);
    while second.monitor.opening() != Opening::Open {
        std::thread::yield_now();
    }
    assert_eq!(second.writer.close(LONG), 0);
    assert_eq!(second.monitor.stats().size.letters, 2, "numbers go on");
}

#[test]
fn nothing_is_created_while_the_gate_is_shut() {
    let home = Home::new();
    let (open, shut) = channel::<()>();
    let shut = std::sync::Mutex::new(shut);
    let gate: Gate = Box::new(move || match shut.lock().unwrap().try_recv() {
        Err(mpsc::TryRecvError::Empty) => Err("the spool is not open".to_owned()),
        _ => Ok(()),
    });
    let letters = DeadLetters::start(settings(&home), gate).unwrap();
    let is_shut = || {
        letters
            .monitor
            .store()
            .is_err_and(|it| it.to_string().contains("spool"))
    };
    while !is_shut() {
        std::thread::yield_now();
    }
    assert!(!home.dir().exists());
    drop(open);
    while letters.monitor.opening() != Opening::Open {
        std::thread::yield_now();
    }
    assert_eq!(letters.writer.close(LONG), 0);
}

#[test]
fn a_close_before_the_directory_is_open_ends_at_once_and_tells_what_is_lost() {
    let home = Home::new();
    fs::write(home.dir(), "in the way").unwrap();
    let letters = DeadLetters::start(settings(&home), open_gate()).unwrap();
    let record = record("name=a", 5);
    (0..3).for_each(|_| offer(&letters.sink, &record));
    assert_eq!(letters.writer.close(LONG), 3);
    assert_eq!(letters.monitor.stats().lost_disk_error, 3);
    assert_eq!(Arc::strong_count(&record), 1, "nothing is held");
}

#[test]
fn a_disk_that_hangs_is_left_behind_at_the_limit() {
    let home = Home::new();
    let (hang, hung) = channel::<()>();
    let hung = std::sync::Mutex::new(hung);
    let gate: Gate = Box::new(move || {
        let _end = hung.lock().unwrap().recv();
        Ok(())
    });
    let letters = DeadLetters::start(settings(&home), gate).unwrap();
    let record = record("name=a", 5);
    (0..2).for_each(|_| offer(&letters.sink, &record));
    assert_eq!(letters.writer.close(Duration::from_millis(20)), 2);
    drop(hang);
}
