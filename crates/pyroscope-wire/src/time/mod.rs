//! How Pyroscope reads `from` and `until` (its package `attime`, the same in both generations).
//!
//! This module decides whether a time is absolute or relative to *now*. Relative times must be
//! resolved at receipt, because a target reads them later.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The last time that a server can read, in Unix nanoseconds: servers keep nanoseconds in an `i64`.
const LAST: u64 = i64::MAX.unsigned_abs();

/// A `from` or `until` time of a request that is delivered later, in Unix nanoseconds. Times before
/// 1970 count as 1970, and times after 2262, which servers cannot express in nanoseconds, as 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolvedTime {
    /// An absolute time in some unit. The client's bytes go to the target unchanged.
    Absolute(u64),
    /// A time relative to now, resolved at receipt.
    Relative(u64),
}

/// The `from` and `until` that a target gets instead of the client's, in Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTimes {
    /// `None`: the client's own time is absolute and stays.
    pub from: Option<u64>,
    /// `None`: the client's own time is absolute and stays.
    pub until: Option<u64>,
}

/// Resolves the (percent-decoded) times of a request that was received at `received`. An absent or empty time
/// is *now*.
///
/// `from` is at most `until` as a server reads them, unless the client gave both as absolute times in another
/// order:
///
/// - a resolved `until` before `from` becomes `from`: the client's clock is ahead of ours;
/// - a resolved `from` after an absolute `until` moves into the last second before `until`, and keeps
///   its fraction of a second: Pyroscope de-duplicates by series and `from`, so equal times would
///   lose profiles.
pub fn resolve_both(from: Option<&str>, until: Option<&str>, received: SystemTime) -> NewTimes {
    let resolve = |time: Option<&str>| resolve(time.unwrap_or_default(), received);
    match (resolve(from), resolve(until)) {
        (ResolvedTime::Absolute(_), ResolvedTime::Absolute(_)) => NewTimes {
            from: None,
            until: None,
        },
        (ResolvedTime::Absolute(from), ResolvedTime::Relative(until)) => NewTimes {
            from: None,
            until: Some(until.max(from)),
        },
        (ResolvedTime::Relative(from), ResolvedTime::Absolute(until)) => NewTimes {
            from: Some(match from <= until {
                true => from,
                false => until.min(until.saturating_sub(SECOND) + from % SECOND),
            }),
            until: None,
        },
        (ResolvedTime::Relative(from), ResolvedTime::Relative(until)) => NewTimes {
            from: Some(from),
            until: Some(until.max(from)),
        },
    }
}

/// Reads a (percent-decoded) time that was received at `received`.
///
/// A text of digits is absolute; the number of digits decides the unit (19: nanoseconds, 16: microseconds, 13:
/// milliseconds, 8: possibly a date, otherwise seconds). Every other text is *now* plus an offset. The offset
/// begins at the first `+`, or at the first `-` if there is no `+`; the text before it is ignored. Every text
/// is valid: `abc` means *now*.
fn resolve(raw: &str, received: SystemTime) -> ResolvedTime {
    let raw = raw.trim();
    if is_number(raw) {
        return ResolvedTime::Absolute(absolute(raw));
    }
    let mut text = raw.to_owned();
    text.retain(|c| !matches!(c, '_' | ',' | ' '));
    if is_number(&text) {
        return ResolvedTime::Absolute(absolute(&text));
    }
    let now = unix_nanos(received);
    let nanos = |offset| seconds(offset).saturating_mul(SECOND);
    let time = if let Some((_, offset)) = text.split_once('+') {
        now.saturating_add(nanos(offset))
    } else if let Some((_, offset)) = text.split_once('-') {
        now.saturating_sub(nanos(offset))
    } else {
        now
    };
    ResolvedTime::Relative(time.min(LAST))
}

/// Whether a (percent-decoded) time is absolute: it does not depend on the time of receipt.
pub fn is_absolute(raw: &str) -> bool {
    matches!(resolve(raw, UNIX_EPOCH), ResolvedTime::Absolute(_))
}

/// Nanoseconds since 1970; 0 for a time before 1970.
pub fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).map_or(LAST, |nanos| nanos.min(LAST))
}

/// The Unix nanoseconds that a server reads from digits.
fn absolute(digits: &str) -> u64 {
    let unit = match digits.len() {
        19 => 1,
        16 => 1_000,
        13 => 1_000_000,
        _ => SECOND,
    };
    let number = || digits.parse().unwrap_or(u64::MAX);
    let nanos = date(digits).unwrap_or_else(|| number().saturating_mul(unit));
    nanos.min(LAST)
}

/// The start of the day that eight digits stand for; `None` if they are no date since 1970.
fn date(digits: &str) -> Option<u64> {
    let (year, rest) = digits.split_at_checked(4)?;
    let (month, day) = rest.split_at_checked(2).filter(|_| digits.len() == 8)?;
    let start = humantime::parse_rfc3339(&format!("{year}-{month}-{day}T00:00:00Z"));
    start.ok().map(unix_nanos)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads an offset: one number and its unit. The servers are meant to read several pairs (`1h30m`), but their
/// search for the end of a unit runs to the end of the text, so they ignore all but the first.
fn seconds(offset: &str) -> u64 {
    let digits = offset
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(offset.len());
    let (number, unit) = offset.split_at_checked(digits).unwrap_or_default();
    // A missing number counts as 0, a number that does not fit as the largest number.
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
mod tests;
