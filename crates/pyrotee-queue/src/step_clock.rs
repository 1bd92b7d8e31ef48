//! Steps of the wall clock: how far it was set forward or back since the process began.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

/// Smallest difference between wall clock and steady time that counts as a step.
const SMALLEST_STEP: Duration = Duration::from_secs(1);

/// Measures how far the wall clock was set since the process began, so that ages of records do not depend on this.
///
/// *Steady* time is the wall-clock time at the start of the process plus the time since then by the monotonic clock.
/// Steady time equals the wall-clock time as long as nobody sets the wall clock. Cheap to clone.
#[derive(Clone)]
pub struct StepClock(Arc<dyn Fn() -> (SystemTime, i64) + Send + Sync>);

impl StepClock {
    /// The system's clocks.
    pub fn system() -> Self {
        LazyLock::force(&START);
        Self::from_fn(|| {
            let now = SystemTime::now();
            (now, step_at(now))
        })
    }

    /// A clock for tests: `read` returns the time of the wall clock, and by how many nanoseconds the wall clock was set
    /// forward; negative: back.
    pub fn from_fn(read: impl Fn() -> (SystemTime, i64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// By how many nanoseconds the wall clock was set forward since the process began; negative: back. Zero: less than
    /// a second in either direction.
    pub fn step(&self) -> i64 {
        (self.0)().1
    }

    /// The steady time now.
    pub fn now(&self) -> SystemTime {
        let (wall, step) = (self.0)();
        shift(wall, step.saturating_neg())
    }

    /// Converts `received`, a time of the current wall clock, to steady time. A time in the future becomes now.
    pub(crate) fn birth(&self, received: SystemTime) -> SystemTime {
        let (wall, step) = (self.0)();
        shift(received.min(wall), step.saturating_neg())
    }

    /// Converts `wall`, a time of the current wall clock, to steady time.
    pub fn to_steady(&self, wall: SystemTime) -> SystemTime {
        shift(wall, self.step().saturating_neg())
    }

    /// Converts a steady time to a time of the current wall clock.
    pub fn to_wall(&self, steady: SystemTime) -> SystemTime {
        shift(steady, self.step())
    }
}

/// When a record was received, independent of later steps of the wall clock.
#[derive(Debug, Clone)]
pub struct Birth {
    /// In steady time.
    steady: SystemTime,
    clock: StepClock,
}

impl Birth {
    pub(crate) fn new(steady: SystemTime, clock: StepClock) -> Self {
        Self { steady, clock }
    }

    /// The time of receipt, as a time of the current wall clock.
    pub fn wall(&self) -> SystemTime {
        self.clock.to_wall(self.steady)
    }
}

impl fmt::Debug for StepClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepClock")
    }
}

/// The time `nanoseconds` after `time`, or before it if they are negative; `time` if the result cannot be represented.
pub fn shift(time: SystemTime, nanoseconds: i64) -> SystemTime {
    let by = Duration::from_nanos(nanoseconds.unsigned_abs());
    let shifted = match nanoseconds.is_negative() {
        false => time.checked_add(by),
        true => time.checked_sub(by),
    };
    shifted.unwrap_or(time)
}

/// The clocks of the system when the process began.
#[expect(
    clippy::disallowed_methods,
    reason = "the clocks of the system are compared, and tokio's may be paused"
)]
static START: LazyLock<(SystemTime, std::time::Instant)> =
    LazyLock::new(|| (SystemTime::now(), std::time::Instant::now()));

/// By how many nanoseconds a wall clock that shows `now` was set forward since the process began; negative: back.
fn step_at(now: SystemTime) -> i64 {
    let (wall, monotonic) = *START;
    let steady = wall + monotonic.elapsed();
    let nanoseconds = |by: Duration| i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    match now.duration_since(steady) {
        Ok(forward) if forward >= SMALLEST_STEP => nanoseconds(forward),
        Err(back) if back.duration() >= SMALLEST_STEP => -nanoseconds(back.duration()),
        Ok(_) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_sets_is_steady() {
        let clock = StepClock::system();
        let wall = SystemTime::now();
        assert_eq!(clock.to_steady(wall), wall);
        assert_eq!(clock.to_wall(wall), wall);
    }

    #[test]
    fn a_step_is_taken_off_and_put_on_again() {
        let second = Duration::from_secs(1);
        let wall = SystemTime::UNIX_EPOCH + 100 * second;
        for (step, steady) in [(60, 40), (-60, 160)] {
            let clock = StepClock::from_fn(move || (wall, step * 1_000_000_000));
            let steady = SystemTime::UNIX_EPOCH + steady * second;
            assert_eq!(clock.to_steady(wall), steady);
            assert_eq!(clock.to_wall(steady), wall);
        }
    }
}
