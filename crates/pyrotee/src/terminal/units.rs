//! Numbers as people read them.

use std::time::Duration;

use bytesize::ByteSize;

/// A number of bytes in binary units: `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// A number of profiles, and the size of their bodies unless there are none.
pub(crate) fn profiles(profiles: u64, bytes: u64) -> String {
    match profiles {
        0 => "0".to_owned(),
        _ => format!("{profiles} ({})", size(bytes)),
    }
}

/// A duration in its two largest units: `3m20s`.
pub(crate) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}
