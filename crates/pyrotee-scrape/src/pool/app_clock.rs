//! The clocks of applications.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far a profile's time may be ahead and behind: Pyroscope 2.x refuses other profiles.
const AHEAD: Duration = Duration::from_secs(10 * 60);
const BEHIND: Duration = Duration::from_secs(60 * 60);

/// Whether a profile that was taken at `time_nanos`, in nanoseconds since 1970, is too far from `now`. Pyroscope
/// replaces the time 0 by its own.
pub(super) fn is_clock_off(time_nanos: i64, now: SystemTime) -> bool {
    if time_nanos == 0 {
        return false;
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let taken = Duration::from_nanos(u64::try_from(time_nanos).unwrap_or_default());
    taken.saturating_sub(now) > AHEAD || now.saturating_sub(taken) > BEHIND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_minutes_ahead_and_an_hour_behind_are_allowed() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (taken, is_off) in [
            (0, false),
            (1, true),
            (-1, true),
            (1_700_000_600, false),
            (1_700_000_601, true),
            (1_699_996_400, false),
            (1_699_996_399, true),
        ] {
            assert_eq!(is_clock_off(taken * 1_000_000_000, now), is_off, "{taken}");
        }
    }
}
