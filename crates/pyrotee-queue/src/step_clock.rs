//! Steps of the wall clock: how far it was set forward or back since the process began.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

/// A smaller difference between the clocks is no step.
const SMALLEST_STEP: Duration = Duration::from_secs(1);

/// Tells how far the wall clock was set since the process began, so that the age of a record does not depend on it.
///
/// *Steady* time is the wall clock at the start of the process plus what has passed since by the monotonic clock. It is
/// equal to the wall clock as long as nobody sets that. Cheap to clone.
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

    /// A clock that shows the time that `read` returns, and was set forward by the nanoseconds that it returns, or back
    /// if they are negative.
    pub fn from_fn(read: impl Fn() -> (SystemTime, i64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// By how many nanoseconds the wall clock was set forward since the process began; negative: back. Zero: by less
    /// than a second.
    pub fn step(&self) -> i64 {
        (self.0)().1
    }

    /// The steady time now.
    pub fn now(&self) -> SystemTime {
        let (wall, step) = (self.0)();
        shift(wall, step.saturating_neg())
    }

    /// The steady time at which the wall clock, as it is set now, showed `received`: now at the latest.
    pub(crate) fn birth(&self, received: SystemTime) -> SystemTime {
        let (wall, step) = (self.0)();
        shift(received.min(wall), step.saturating_neg())
    }

    /// The steady time at which the wall clock, as it is set now, showed `wall`.
    pub fn to_steady(&self, wall: SystemTime) -> SystemTime {
        shift(wall, self.step().saturating_neg())
    }

    /// What the wall clock, as it is set now, showed at the steady time `steady`.
    pub fn to_wall(&self, steady: SystemTime) -> SystemTime {
        shift(steady, self.step())
    }
}

/// When a record was received.
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

    /// What the wall clock, as it is set now, showed.
    pub fn wall(&self) -> SystemTime {
        self.clock.to_wall(self.steady)
    }
}

impl fmt::Debug for StepClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepClock")
    }
}

/// The time `nanoseconds` after `time`, or before it if they are negative; `time` if there is no such time.
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

/// By how many nanoseconds a wall clock that shows `now` was set forward.
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
