//! When a loop scrapes: at a fixed phase after each multiple of its interval, as in Pyroscope 0.37.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

/// Pyroscope 0.37 stores profiles in slots of this length.
const SLOT: Duration = Duration::from_secs(10);

/// The times of one loop. A scrape that ends late is followed by the next one at once, so that a profile of `seconds`
/// as long as the interval loses nothing; further times that passed are left out.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval: Duration,
    /// Time from each multiple of the interval since 1970 to the next scrape.
    phase: Duration,
    next: Instant,
}

/// A time at which a loop scrapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// When the scrape was due.
    pub(crate) due: Instant,
    /// Times that were left out before.
    pub(crate) missed: u64,
}

impl Schedule {
    /// `hash` decides on the phase, which spreads the loops over the interval. `wall` is the time now.
    pub(crate) fn new(interval: Duration, hash: u64, wall: SystemTime) -> Self {
        let nanos = interval.as_nanos().max(1);
        let passed = since_epoch(wall).as_nanos() % nanos;
        let phase = u128::from(hash) % nanos;
        let wait = (nanos + phase - passed) % nanos;
        Self {
            interval: duration(nanos),
            phase: duration(phase),
            next: Instant::now() + duration(wait),
        }
    }

    /// The time of the loop that is nearest to `wall`. A clock is read a moment after the time that was due, so windows
    /// would overlap or leave gaps without this.
    pub(crate) fn nearest(&self, wall: SystemTime) -> SystemTime {
        let (interval, phase) = (self.interval.as_nanos(), self.phase.as_nanos());
        let passed = since_epoch(wall).as_nanos();
        let times = (passed + interval / 2).saturating_sub(phase) / interval;
        UNIX_EPOCH + duration(times * interval + phase)
    }

    /// Waits for the next time.
    pub(crate) async fn next(&mut self) -> Tick {
        sleep_until(self.next).await;
        let late = Instant::now().saturating_duration_since(self.next);
        let missed = late.as_nanos() / self.interval.as_nanos();
        let due = self.next + duration(missed * self.interval.as_nanos());
        self.next = due + self.interval;
        Tick {
            due,
            missed: u64::try_from(missed).unwrap_or(u64::MAX),
        }
    }
}

/// `from` and `until` of a profile, in nanoseconds since 1970. With `seconds`, the application collected after `due`;
/// otherwise the profile stands for the interval before `due`. Intervals of whole slots begin at a slot, so that
/// Pyroscope 0.37 spreads no profile over two slots. The windows of successive scrapes touch and do not overlap.
pub(crate) fn window(due: SystemTime, interval: Duration, seconds: Option<Duration>) -> (u64, u64) {
    let due = since_epoch(due);
    let length = seconds.unwrap_or(interval);
    let slot = SLOT.as_nanos();
    let whole = interval.as_nanos().is_multiple_of(slot) && length.as_nanos().is_multiple_of(slot);
    let edge = match whole {
        true => duration(due.as_nanos() / slot * slot),
        false => due,
    };
    let from = match seconds {
        Some(_) => edge,
        None => edge.saturating_sub(length),
    };
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    (nanos(from), nanos(from + length))
}

fn since_epoch(wall: SystemTime) -> Duration {
    wall.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_loop_has_its_phase_and_leaves_out_all_but_one_missed_time() {
        let wall = UNIX_EPOCH + 1_003 * SECOND;
        let mut schedule = Schedule::new(10 * SECOND, 7_000_000_000, wall);
        let start = Instant::now();
        let at = |seconds: u32, missed| Tick {
            due: start + seconds * SECOND,
            missed,
        };
        assert_eq!(schedule.next().await, at(4, 0));
        assert_eq!(start.elapsed(), 4 * SECOND);
        sleep(11 * SECOND).await;
        assert_eq!(schedule.next().await, at(14, 0), "at once");
        assert_eq!(start.elapsed(), 15 * SECOND);
        sleep(30 * SECOND).await;
        assert_eq!(schedule.next().await, at(44, 2));
        assert_eq!(schedule.next().await, at(54, 0));
        assert_eq!(start.elapsed(), 54 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_nearest_time_has_the_phase_of_the_loop() {
        let schedule = Schedule::new(10 * SECOND, 7_000_000_000, UNIX_EPOCH);
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        for (wall, nearest) in [
            (1_006_999, 1_007_000),
            (1_007_000, 1_007_000),
            (1_011_999, 1_007_000),
            (1_012_001, 1_017_000),
            (1, 7_000),
        ] {
            assert_eq!(schedule.nearest(at(wall)), at(nearest), "{wall}");
        }
    }

    #[test]
    fn windows_touch_and_begin_at_slots_where_they_can() {
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        let seconds = |from: u64, until: u64| (from * 1_000_000_000, until * 1_000_000_000);
        let ten = 10 * SECOND;
        assert_eq!(window(at(104_500), ten, None), seconds(90, 100));
        assert_eq!(window(at(114_500), ten, None), seconds(100, 110));
        assert_eq!(window(at(104_500), ten, Some(ten)), seconds(100, 110));
        let fifteen = 15 * SECOND;
        let window = |due| window(at(due), fifteen, None);
        assert_eq!(window(104_500), (89_500_000_000, 104_500_000_000));
        assert_eq!(window(119_500).0, window(104_500).1);
    }
}
