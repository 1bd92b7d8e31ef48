//! Parsers and writers of single values: durations, sizes, counts, booleans, words.
//!
//! A parser's error does not contain the value. In a fault the error follows the value, as in "`5` has no
//! unit; write …".

use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;

/// The units of Go's `time.ParseDuration`, with their nanoseconds, longest first.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// Longest duration, one year. A deadline that far ahead cannot overflow a clock.
const MAX_DURATION: Duration = Duration::from_secs(8760 * 3600);
/// Largest size, 1 PiB: more than any machine has, and sums of several sizes still fit a `u64`.
const MAX_SIZE: u64 = 1 << 50;

/// A duration as Go writes it: `1h30m`, `1.5h`, `300ms`, `0`.
///
/// # Errors
/// The text is negative, without a unit, no duration as Go writes it, or longer than a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text.starts_with('-') {
        return Err("is negative; write a duration such as 10s".to_owned());
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    // Two code points for the micro sign are in use; `us` replaces both, because humantime knows only one.
    let text = text.replace(['µ', 'μ'], "u");
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("has no unit; write one, as in 5s, 500ms or 1h30m".to_owned());
    }
    go_form(&text)?;
    let parsed = humantime::parse_duration(&text)
        .map_err(|_| "is too large or too fine for a duration; write one such as 10s".to_owned())?;
    if parsed > MAX_DURATION {
        return Err("is longer than a year (8760h); write less".to_owned());
    }
    Ok(parsed)
}

/// Refuses durations that Go refuses but humantime accepts: days, months (`M`!) and spaces.
fn go_form(text: &str) -> Result<(), String> {
    let mut rest = text;
    loop {
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let after_number = rest.trim_start_matches(number);
        let unit_end = after_number.find(number).unwrap_or(after_number.len());
        let (unit, next) = after_number.split_at(unit_end);
        if after_number.len() == rest.len() || unit.is_empty() {
            return Err("is not a duration; write one such as 10s, 500ms or 1h30m".to_owned());
        }
        match unit {
            _ if UNITS.iter().any(|(name, _)| *name == unit) => {}
            "d" | "w" => return Err("counts in days or weeks; write hours, as in 24h".to_owned()),
            _ => {
                let text = "is not a duration; the units are h, m, s, ms, us and ns, as in 1h30m";
                return Err(text.to_owned());
            }
        }
        if next.is_empty() {
            return Ok(());
        }
        rest = next;
    }
}

/// A duration above zero, for timeouts.
///
/// # Errors
/// The text is as [`duration`], or zero.
pub fn wait(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("is no time at all; write a duration such as 10s".to_owned()),
        some => Ok(some),
    }
}

/// Formats a duration; [`duration`] reads the result as the same duration.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut out = String::new();
    for (unit, nanos) in UNITS {
        if rest >= nanos {
            out.push_str(&format!("{}{unit}", rest / nanos));
            rest %= nanos;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// A number of bytes: `64MiB`, `5M` (five million), `1.5GiB`, `1048576`. Not zero.
///
/// # Errors
/// The text is no size, zero, or more than 1 PiB.
pub fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("is zero; write a size such as 64MiB".to_owned()),
        fine => Ok(fine),
    }
}

/// A number of bytes; `None` for zero, which turns a feature off.
///
/// # Errors
/// The text is no size, or more than 1 PiB.
pub fn size_or_none(text: &str) -> Result<Option<u64>, String> {
    bytes(text).map(|bytes| Some(bytes).filter(|bytes| *bytes > 0))
}

/// A number of bytes per second, written as a size; `None` for zero, which is no limit.
///
/// # Errors
/// The text is no size, or more than 1 PiB.
pub fn rate(text: &str) -> Result<Option<NonZeroU64>, String> {
    bytes(text).map(NonZeroU64::new)
}

fn bytes(text: &str) -> Result<u64, String> {
    if text.starts_with('-') {
        return Err("is negative; write a size such as 64MiB".to_owned());
    }
    let size: ByteSize = text
        .parse()
        .map_err(|_| "is not a size; write one such as 64MiB, 5M or 1048576".to_owned())?;
    match size.as_u64() {
        large if large > MAX_SIZE => Err("is more than 1PiB; write less".to_owned()),
        fine => Ok(fine),
    }
}

/// Formats a number of bytes as a configuration has it: `64MiB`.
pub fn format_size(bytes: u64) -> String {
    let units = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    // The unit with the smallest number is probably the user's: 62500KiB was written as 64MB.
    units
        .into_iter()
        .filter(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .min_by_key(|(_, unit)| bytes / unit)
        .map_or_else(
            || bytes.to_string(),
            |(name, unit)| format!("{}{name}", bytes / unit),
        )
}

/// A whole number up to `max`.
///
/// # Errors
/// The text is no whole number, or more than `max`.
pub fn count(text: &str, max: usize) -> Result<usize, String> {
    if text.starts_with('-') {
        return Err("is negative; write a whole number".to_owned());
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err("is not a whole number; write digits only".to_owned());
    }
    // A number that does not fit a `usize` is too large as well.
    text.parse()
        .ok()
        .filter(|n| *n <= max)
        .ok_or_else(|| format!("is more than {max}; write less"))
}

/// `true` or `false`. The other booleans of YAML 1.1 are refused, because parsers differ in their meaning.
///
/// # Errors
/// The text is another word.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is neither true nor false; write one of them".to_owned()),
    }
}

/// The value of a word of a closed list.
///
/// # Errors
/// The text is a word that is not in the list.
pub fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("is not known; write one of {}", known.join(", "))
        })
}

/// The word for a value of a closed list.
pub fn word_for<T: Copy + PartialEq>(value: T, words: &[(&'static str, T)]) -> &'static str {
    words
        .iter()
        .find(|(_, of)| *of == value)
        .map_or("", |(word, _)| word)
}

#[cfg(test)]
mod tests;
