//! How Pyroscope reads `from` and `until` (its package `attime`, the same in both generations).
//!
//! This module decides whether a time is absolute or relative to *now*. Relative times must be
//! resolved at receipt, because a target reads them later.

use std::time::{SystemTime, UNIX_EPOCH};

/// A `from` or `until` time of a request that is delivered later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolvedTime {
    /// An absolute time in some unit. The client's bytes go to the target unchanged.
    Absolute,
    /// A time relative to now, resolved at receipt, in Unix seconds.
    Relative(u64),
}

/// Reads a (percent-decoded) time that was received at `received`.
///
/// A text of digits is absolute; the number of digits decides the unit (19: nanoseconds, 16:
/// microseconds, 13: milliseconds, 8: possibly a date, otherwise seconds). Every other text is *now*
/// plus an offset. The offset begins at the first `+`, or at the first `-` if there is no `+`; the
/// text before it is ignored. No text is an error: `abc` means *now*.
pub fn resolve(raw: &str, received: SystemTime) -> ResolvedTime {
    let raw = raw.trim();
    if is_number(raw) {
        return ResolvedTime::Absolute;
    }
    let mut text = raw.to_owned();
    text.retain(|c| !matches!(c, '_' | ',' | ' '));
    if is_number(&text) {
        return ResolvedTime::Absolute;
    }
    let now = unix_seconds(received);
    ResolvedTime::Relative(if let Some((_, offset)) = text.split_once('+') {
        now.saturating_add(seconds(offset))
    } else if let Some((_, offset)) = text.split_once('-') {
        now.saturating_sub(seconds(offset))
    } else {
        now
    })
}

/// Whole seconds since 1970; 0 for a time before 1970.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads an offset: one number and its unit. The servers mean to read several pairs (`1h30m`), but
/// their search for the end of a unit runs to the end of the text, so they ignore all but the first.
fn seconds(offset: &str) -> u64 {
    let digits = offset
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(offset.len());
    let (number, unit) = offset.split_at_checked(digits).unwrap_or_default();
    // A missing number counts as 0, one that does not fit as the largest number.
    let count = if number.is_empty() {
        0
    } else {
        number.parse().unwrap_or(u64::MAX)
    };
    count.saturating_mul(seconds_in(unit))
}

/// The seconds in a unit, which is recognised by its prefix, in this order; 0 for an unknown unit.
fn seconds_in(unit: &str) -> u64 {
    const DAY: u64 = 24 * 3600;
    let units = [
        ("s", 1),
        ("mon", 30 * DAY),
        ("M", 30 * DAY),
        ("m", 60),
        ("h", 3600),
        ("d", DAY),
        ("w", 7 * DAY),
        ("y", 365 * DAY),
    ];
    units
        .iter()
        .find(|(prefix, _)| unit.starts_with(prefix))
        .map_or(0, |&(_, seconds)| seconds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_577_836_800;

    fn at(raw: &str) -> ResolvedTime {
        resolve(raw, UNIX_EPOCH + Duration::from_millis(NOW * 1000 + 999))
    }

    #[test]
    fn digits_are_points_in_time_in_any_unit() {
        for raw in [
            "1577836800",
            "1577836800001",
            "1577836800000001",
            "1577836800000000001",
            "20200101",
            "99999999",
            "1_654_110_240",
            "1,654,110,240",
            " 1654110240 ",
            "0",
            "99999999999999999999",
            "\t1577836800\u{a0}",
        ] {
            assert_eq!(at(raw), ResolvedTime::Absolute, "{raw}");
        }
    }

    #[test]
    fn everything_else_is_counted_from_the_time_of_receipt() {
        const DAY: u64 = 86_400;
        for (raw, expected) in [
            ("", NOW),
            ("   ", NOW),
            ("_", NOW),
            ("now", NOW),
            ("abc", NOW),
            ("1654110240.5", NOW),
            ("-1654110240", NOW),
            ("now-1", NOW),
            ("now-1s", NOW - 1),
            ("now+1s", NOW + 1),
            ("-1h", NOW - 3600),
            ("now - 1 h", NOW - 3600),
            ("now-1min", NOW - 60),
            ("now-1m", NOW - 60),
            ("now-2d", NOW - 2 * DAY),
            ("now-1w", NOW - 7 * DAY),
            ("now-1mon", NOW - 30 * DAY),
            ("now-1M", NOW - 30 * DAY),
            ("now-1y", NOW - 365 * DAY),
            ("now-1hours", NOW - 3600),
            ("now-1x", NOW),
            ("now-h", NOW),
            ("now-1h30m", NOW - 3600),
            ("1-2+3s", NOW + 3),
            ("now--1h", NOW),
            ("-99999999999999999999y", 0),
            ("+99999999999999999999y", u64::MAX),
            ("1６", NOW),
        ] {
            assert_eq!(at(raw), ResolvedTime::Relative(expected), "{raw:?}");
        }
    }

    #[test]
    fn a_clock_before_1970_does_not_matter() {
        let before = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(resolve("now-1h", before), ResolvedTime::Relative(0));
    }

    proptest! {
        #[test]
        fn what_was_resolved_is_absolute(raw in prop_oneof![any::<String>(), "(now)?[+-][0-9]{0,25}[a-zA-Z]{0,3}"]) {
            if let ResolvedTime::Relative(seconds) = at(&raw) {
                prop_assert_eq!(at(&seconds.to_string()), ResolvedTime::Absolute);
            }
        }
    }
}
