//! The clock that stamps records at their receipt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Returns the wall-clock time for a record that is received now. Each call in this process returns a
/// later time than all calls before it, to the nanosecond.
///
/// A Pyroscope de-duplicates by series and time, so two profiles that are sent with the same time of
/// receipt are stored as one. The wall clock alone does not suffice: it may be coarse, two threads may
/// read it at once, and it may be set back. While it is set back the stamps stay at the latest time
/// given, one nanosecond apart, until the wall clock has caught up.
///
/// A new process does not start above the stamps of the records that an earlier process left in its
/// spool. Two stamps would be equal only if both processes hit the same nanosecond, and starting above
/// them would keep the stamps of a wrong clock after the restart that corrects it.
pub fn receipt_time() -> SystemTime {
    static CLOCK: ReceiptClock = ReceiptClock(AtomicU64::new(0));
    CLOCK.stamp(SystemTime::now())
}

/// The latest stamp given, in Unix nanoseconds.
#[derive(Debug)]
struct ReceiptClock(AtomicU64);

impl ReceiptClock {
    /// Returns `wall`, or the next nanosecond after the latest stamp if that is later.
    fn stamp(&self, wall: SystemTime) -> SystemTime {
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH);
        let wall = u64::try_from(wall.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        let next = |latest: u64| wall.max(latest.saturating_add(1));
        // Relaxed: only the order of the stamps themselves counts.
        let latest = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| {
                Some(next(latest))
            });
        let stamp = latest.map_or(wall, next);
        SystemTime::UNIX_EPOCH + Duration::from_nanos(stamp)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    fn at(nanos: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    #[test]
    fn a_frozen_clock_and_one_that_is_set_back_give_later_stamps_all_the_same() {
        let clock = ReceiptClock(AtomicU64::new(0));
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(9);
        for (wall, stamp) in [
            (at(1_000), 1_000),
            (at(1_000), 1_001),
            (at(1_000), 1_002),
            (at(5), 1_003),
            (before_1970, 1_004),
            (at(1_005), 1_005),
            (at(1_005), 1_006),
            (at(9_000), 9_000),
        ] {
            assert_eq!(clock.stamp(wall), at(stamp));
        }
        let mut latest = at(9_000);
        for _ in 0..10_000 {
            let stamp = clock.stamp(at(8_000));
            assert!(stamp > latest);
            latest = stamp;
        }
    }

    #[test]
    fn no_two_records_of_the_process_get_the_same_stamp() {
        let stamps = || {
            let stamps: Vec<_> = (0..10_000).map(|_| receipt_time()).collect();
            assert!(stamps.is_sorted_by(|a, b| a < b));
            stamps
        };
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(stamps)).collect();
        let all = threads.into_iter().flat_map(|it| it.join().unwrap());
        assert_eq!(all.collect::<BTreeSet<_>>().len(), 40_000);
    }
}
