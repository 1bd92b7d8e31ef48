//! Steps of the wall clock that a process noticed, with the numbers of the records before them.

use std::time::{Duration, SystemTime};

use bytes::BufMut;
use pyrotee_queue::shift;

use super::fields::FieldReader;

/// The start of 2020, before the first pyrotee. An earlier time of receipt shows that the clock was not set.
const CLOCK_IS_SET: Duration = Duration::from_secs(1_577_836_800);

/// Converts a time to seconds since the epoch; zero if it is before the epoch.
pub fn unix_seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Whether a clock that showed this many `seconds` since the epoch was set.
pub fn is_clock_set(seconds: u64) -> bool {
    seconds >= CLOCK_IS_SET.as_secs()
}

/// Most steps that are kept. If the clock is set more often, the oldest steps are forgotten.
const MOST_STEPS: usize = 64;

/// Steps of the wall clock, in the order of their record numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockSteps(Vec<ClockStep>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClockStep {
    /// Records below this number were received before the step.
    number: u64,
    /// How far the clock was set forward, in nanoseconds; negative: back.
    nanoseconds: i64,
}

impl ClockSteps {
    /// Number of steps that are kept.
    #[cfg(feature = "testing")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no step is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a step after the record `number - 1`.
    pub fn push(&mut self, number: u64, nanoseconds: i64) {
        self.0.push(ClockStep {
            number,
            nanoseconds,
        });
        let extra = self.0.len().saturating_sub(MOST_STEPS);
        self.0.drain(..extra);
    }

    /// Forgets the steps that matter only for records below `number`.
    pub fn forget_before(&mut self, number: u64) {
        self.0.retain(|step| step.number > number);
    }

    /// The time from which the age of a record counts in a process that begins at `now`: `received`, or `received` plus
    /// all later steps, whichever is later, and at most `now`. If the clock was set at neither time, `now`.
    pub fn received(&self, number: u64, received: SystemTime, now: SystemTime) -> SystemTime {
        let later = self.0.iter().filter(|step| step.number > number);
        let by = later.fold(0_i64, |by, step| by.saturating_add(step.nanoseconds));
        let latest = received.max(shift(received, by));
        match latest < SystemTime::UNIX_EPOCH + CLOCK_IS_SET {
            true => now,
            false => latest.min(now),
        }
    }

    pub(super) fn encode(&self, content: &mut Vec<u8>) {
        content.put_u16_le(u16::try_from(self.0.len()).unwrap_or(u16::MAX));
        for step in &self.0 {
            content.put_u64_le(step.number);
            content.put_i64_le(step.nanoseconds);
        }
    }

    pub(super) fn read(fields: &mut FieldReader<'_>) -> Option<Self> {
        let mut steps = Self::default();
        for _ in 0..fields.u16()? {
            let (number, nanoseconds) = (fields.u64()?, fields.u64()?);
            steps.push(number, nanoseconds.cast_signed());
        }
        Some(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_young_as_the_kinder_reading_says() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let (day, decades) = (86_400, 1_700_000_000);
        let now = at(decades + 2 * day);
        let mut steps = ClockSteps::default();
        steps.push(100, 1_700_000_000_000_000_000);
        steps.push(200, -86_400_000_000_000);
        // Received in 1970, before NTP.
        assert_eq!(
            steps.received(99, at(1_000 + day), now),
            at(decades + 1_000)
        );
        // Received with a clock that was a day ahead.
        let ahead = at(decades + day + 5);
        assert_eq!(steps.received(150, ahead, now), ahead);
        assert_eq!(steps.received(200, at(decades + 7), now), at(decades + 7));
        // In the future, and with a clock that was never set.
        assert_eq!(steps.received(200, at(decades + 9 * day), now), now);
        assert_eq!(steps.received(200, at(5), now), now);
        let mut content = Vec::new();
        steps.encode(&mut content);
        assert_eq!(
            ClockSteps::read(&mut FieldReader(&content)),
            Some(steps.clone())
        );
        steps.forget_before(100);
        assert_eq!(steps.0.len(), 1);
    }
}
