use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{LeasedEntry, Queue, QueuedRecord, TakeResult};
use crate::{
    LeaseEnd, LeaseFilter, Ledger, Limits, Reason, RetryHistory, SurfaceId, Tally, WhenFull, lock,
};

type Cell = Arc<OnceLock<Arc<Queue<Curious>>>>;

/// A record that takes the lock of its queue when it is settled.
#[derive(Debug)]
struct Curious(Cell);

impl QueuedRecord for Curious {
    fn surface(&self) -> SurfaceId {
        SurfaceId(1)
    }

    fn received(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn len(&self) -> u64 {
        1
    }

    fn settled(&self, _lost: Option<Reason>) {
        let queue = Arc::clone(self.0.get().unwrap());
        let (sender, receiver) = mpsc::channel();
        // On a thread of its own, so that a lock that is held fails the test and does not hang it.
        thread::spawn(move || sender.send(queue.in_memory_from()));
        let free = receiver.recv_timeout(Duration::from_secs(10));
        assert!(free.is_ok(), "the queue is locked");
    }
}

fn queue(records: usize) -> (Arc<Queue<Curious>>, impl Fn() -> Curious) {
    let limits = Limits {
        records,
        bytes: 1 << 30,
        when_full: WhenFull::DropOldest,
    };
    let queue = Arc::new(Queue::new(limits, Arc::<Ledger>::default()));
    let cell = Cell::default();
    cell.set(Arc::clone(&queue)).unwrap();
    (queue, move || Curious(Arc::clone(&cell)))
}

#[test]
fn nothing_is_settled_under_the_lock_that_an_offer_waits_for() {
    let (queue, record) = queue(2);
    for _ in 0..3 {
        assert!(queue.push(record()), "the oldest gives way");
    }
    let ends = [
        LeaseEnd::Acked,
        LeaseEnd::Lost(Reason::Rejected),
        LeaseEnd::Retried {
            at: Instant::now(),
            history: RetryHistory::default(),
        },
    ];
    for end in ends {
        queue.push(record());
        let TakeResult::Leased(leased) = queue.take(&LeaseFilter::ANY, 0) else {
            panic!("a record waits");
        };
        queue.settle(leased, end);
    }
    queue.lose_numbers(0..u64::MAX, Reason::SpoolFull);
    queue.push(record());
    queue.lose_in_memory(Reason::Admin);
    queue.push(record());
    queue.expire(SystemTime::now());
    queue.abandon(Reason::TargetRemoved);
    assert!(!queue.push(record()));
    let counts = queue.ledger().snapshot();
    assert!(
        counts.balance() && counts.pending.profiles == 0,
        "{counts:?}"
    );
}

#[test]
fn a_queue_that_loses_many_records_has_ended_when_all_are_accounted_for() {
    let (queue, record) = queue(1_000);
    for _ in 0..500 {
        queue.push(record());
    }
    queue.close(Reason::Shutdown);
    let losing = Arc::clone(&queue);
    let loser = thread::spawn(move || losing.lose_numbers(0..450, Reason::SpoolFull));
    loop {
        match queue.take(&LeaseFilter::ANY, 0) {
            TakeResult::Leased(leased) => queue.settle(leased, LeaseEnd::Acked),
            TakeResult::NoMatch { .. } => thread::yield_now(),
            TakeResult::Finished => break,
        }
    }
    let counts = queue.ledger().snapshot();
    assert_eq!(counts.pending.profiles, 0, "{counts:?}");
    loser.join().unwrap();
    assert_eq!(queue.ledger().snapshot(), counts);
}

#[tokio::test]
async fn records_on_disk_are_leased_up_to_the_limit_of_bytes_and_one_more_by_each_end() {
    let limits = Limits {
        records: 1,
        bytes: 3,
        when_full: WhenFull::DropNewest,
    };
    let queue = Arc::new(Queue::new(limits, Arc::<Ledger>::default()));
    let cell = Cell::default();
    cell.set(Arc::clone(&queue)).unwrap();
    let records = (0..10).map(|number| (number, Curious(Arc::clone(&cell))));
    queue.recover(records.collect(), Tally::default());
    let take = || match queue.take(&LeaseFilter::ANY, 0) {
        TakeResult::Leased(leased) => Some(leased),
        TakeResult::NoMatch { next_due: None } => None,
        other => panic!("{other:?}"),
    };
    let mut leased: Vec<_> = std::iter::from_fn(take).collect();
    assert_eq!(leased.len(), 3);
    for end in [
        LeaseEnd::Acked,
        LeaseEnd::Lost(Reason::Rejected),
        LeaseEnd::Released,
    ] {
        // Takes the notification of earlier changes.
        queue.notify();
        queue.changed(None).await;
        queue.settle(leased.pop().unwrap(), end);
        queue.changed(None).await;
        leased.extend(take());
        assert_eq!((leased.len(), take().is_none()), (3, true), "{end:?}");
    }
}

impl Queue<Curious> {
    fn number_of(&self, leased: &LeasedEntry<Curious>) -> u64 {
        lock(&self.state).number(leased.key)
    }
}

/// The numbers that can be leased now, in this order. All are put back.
fn leasable(queue: &Queue<Curious>) -> Vec<u64> {
    let mut leases = Vec::new();
    while let TakeResult::Leased(leased) = queue.take(&LeaseFilter::ANY, 0) {
        leases.push(leased);
    }
    let numbers = leases
        .iter()
        .map(|leased| queue.number_of(leased))
        .collect();
    leases.into_iter().for_each(|leased| queue.put_back(leased));
    numbers
}

#[tokio::test(start_paused = true)]
async fn records_that_are_held_back_are_leased_later() {
    let (queue, record) = queue(10);
    queue.recover(
        (0..10).map(|number| (number, record())).collect(),
        Tally::default(),
    );
    let second = Duration::from_secs(1);
    let start = Instant::now();
    queue.hold_back(2..5, start + second);
    queue.hold_back(4..7, start + 3 * second);
    queue.hold_back(4..7, start + 2 * second);
    queue.hold_back(9..10, start + 9 * second);
    assert_eq!(leasable(&queue), [0, 1, 7, 8]);
    let TakeResult::NoMatch { next_due } = queue.take(&[], 0) else {
        panic!("no lane is asked for");
    };
    assert_eq!(next_due, Some(start + second));
    queue.changed(next_due).await;
    queue.changed(next_due).await;
    assert_eq!(leasable(&queue), [0, 1, 2, 3, 7, 8]);
    // A record with a failed delivery is held back as well.
    let TakeResult::Leased(leased) = queue.take(&LeaseFilter::ANY, 3) else {
        panic!("a record waits");
    };
    let history = RetryHistory {
        failures: 1,
        ..RetryHistory::default()
    };
    let at = Instant::now();
    queue.settle(leased, LeaseEnd::Retried { at, history });
    queue.hold_back(3..4, start + 9 * second);
    tokio::time::advance(2 * second).await;
    assert_eq!(leasable(&queue), [0, 1, 2, 4, 5, 6, 7, 8]);
    queue.release_held_back();
    assert_eq!(leasable(&queue), [0, 1, 2, 4, 5, 6, 7, 8, 9, 3]);
}

#[test]
fn records_in_the_middle_are_lost_and_leased_ones_when_they_come_back() {
    let (queue, record) = queue(10);
    let numbers = (0..10).filter(|number| *number != 8);
    queue.recover(
        numbers.map(|number| (number, record())).collect(),
        Tally::default(),
    );
    let TakeResult::Leased(leased) = queue.take(&LeaseFilter::ANY, 4) else {
        panic!("a record waits");
    };
    queue.lose_numbers(3..6, Reason::DiskError);
    queue.lose_numbers(0..2, Reason::SpoolFull);
    assert_eq!(leasable(&queue), [2, 6, 7, 9]);
    queue.put_back(leased);
    assert_eq!(leasable(&queue), [2, 6, 7, 9]);
    // A record of an earlier process that was found late keeps its place.
    queue.recover(vec![(8, record())], Tally::default());
    assert_eq!(leasable(&queue), [2, 6, 7, 8, 9]);
    let counts = queue.ledger().snapshot();
    assert_eq!(counts.dropped(Reason::DiskError).profiles, 3);
    assert_eq!(counts.dropped(Reason::SpoolFull).profiles, 2);
    assert!(counts.balance());
}

#[tokio::test(start_paused = true)]
async fn records_keep_their_leases_and_their_order_when_all_numbers_change() {
    const FIRST: u64 = 1 << 62;
    let (queue, record) = queue(10);
    queue.push_as(FIRST, record());
    for _ in 1..4 {
        queue.push(record());
    }
    assert_eq!(leasable(&queue), [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]);
    let take = |from| match queue.take(&LeaseFilter::ANY, from) {
        TakeResult::Leased(leased) => leased,
        other => panic!("{other:?}"),
    };
    let (acked, released, retried) = (take(0), take(0), take(0));
    // A leased record that is to be dropped at its release is dropped under its new number, too.
    let dropped = take(0);
    queue.lose_numbers(FIRST + 3..FIRST + 4, Reason::SpoolFull);
    queue.push(record());

    queue.renumber(FIRST - 100);
    assert_eq!(queue.in_flight(), [100, 101, 102, 103]);
    queue.recover(vec![(7, record()), (8, record())], Tally::default());
    queue.push_as(105, record());
    queue.settle(acked, LeaseEnd::Acked);
    queue.settle(released, LeaseEnd::Released);
    let history = RetryHistory::default();
    let at = Instant::now() + Duration::from_secs(1);
    queue.settle(retried, LeaseEnd::Retried { at, history });
    queue.settle(dropped, LeaseEnd::Released);
    assert_eq!(leasable(&queue), [101, 104, 105, 7, 8]);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(leasable(&queue), [101, 102, 104, 105, 7, 8]);
    queue.hold_back(101..102, at + Duration::from_secs(9));
    assert_eq!(leasable(&queue), [102, 104, 105, 7, 8]);
    queue.moved_to_disk(105);
    assert_eq!(queue.in_memory_from(), 105);
    assert_eq!(queue.lose_numbers(0..104, Reason::Corrupt).profiles, 4);
    let counts = queue.ledger().snapshot();
    assert!(counts.balance(), "{counts:?}");
    assert_eq!(counts.dropped(Reason::SpoolFull).profiles, 1);
    assert_eq!(counts.pending.profiles, 2);
}

#[test]
fn records_that_are_recovered_are_counted_in_one_step_and_never_missing() {
    const RECORDS: u64 = 20_000;
    let (queue, record) = queue(10);
    let records: Vec<_> = (0..RECORDS).map(|number| (number, record())).collect();
    let recovering = Arc::clone(&queue);
    let lost = Tally {
        profiles: 3,
        bytes: 30,
    };
    queue.close(Reason::Shutdown);
    let recovering = thread::spawn(move || recovering.recover(records, lost));
    let mut leased = 0;
    while leased < RECORDS {
        let counts = queue.ledger().snapshot();
        let accepted = counts.accepted.profiles;
        assert!(counts.balance());
        assert!([0, RECORDS + 3].contains(&accepted), "{accepted}");
        match queue.take(&LeaseFilter::ANY, 0) {
            // No record is settled: the test would start a thread for each.
            TakeResult::Leased(_) => leased += 1,
            TakeResult::NoMatch { .. } => {}
            TakeResult::Finished => assert_eq!(accepted, 0, "none has come yet"),
        }
    }
    recovering.join().unwrap();
    assert_eq!(queue.ledger().snapshot().dropped(Reason::Corrupt), lost);
}

#[test]
fn a_target_that_is_abandoned_meanwhile_loses_what_is_recovered() {
    let (queue, record) = queue(10);
    queue.abandon(Reason::TargetRemoved);
    queue.recover(vec![(0, record()), (1, record())], Tally::default());
    let counts = queue.ledger().snapshot();
    assert!(counts.balance(), "{counts:?}");
    assert_eq!(counts.dropped(Reason::TargetRemoved).profiles, 2);
    let taken = queue.take(&LeaseFilter::ANY, 0);
    assert!(matches!(taken, TakeResult::Finished), "{taken:?}");
}
