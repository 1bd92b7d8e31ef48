//! Numbers as people read them.

use std::time::Duration;

use bytesize::ByteSize;

/// A number of bytes in binary units: `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// A number with its noun in the singular or the plural, which ends in `s`: `1 segment`, `2 segments`.
pub fn counted(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// Parses a duration of the command line: `300ms`, `5s`, `1m30s`, `2d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "write a number and a unit, such as 500ms, 5s or 1m30s".to_owned())
}

/// A number of profiles, and the size of their bodies unless there are none.
pub fn profiles(profiles: u64, bytes: u64) -> String {
    match profiles {
        0 => "0".to_owned(),
        _ => format!("{profiles} ({})", size(bytes)),
    }
}

/// A duration in its two largest units: `3m20s`.
pub fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_things() {
        let segments = [0, 1, 2].map(|count| counted(count, "damaged segment"));
        assert_eq!(
            segments,
            [
                "0 damaged segments",
                "1 damaged segment",
                "2 damaged segments"
            ]
        );
    }

    #[test]
    fn a_duration_without_a_unit_is_told_in_short_units() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        for text in ["5", "", "s", "5 parsecs", "-1s"] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(" 5s ") && !error.contains("sec"), "{error}");
        }
    }
}
