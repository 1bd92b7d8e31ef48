//! Dates of certificates, as text.

use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;

/// 9999-12-31T23:59:59Z, the last second that a certificate can name, in seconds since 1970.
const LAST: u64 = 253_402_300_799;

/// `time` in UTC, such as `2026-11-28T16:26:42Z`. A time before 1970 is shown as 1970.
pub fn date(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs()).min(LAST);
    humantime::format_rfc3339_seconds(at(seconds)).to_string()
}

/// `time` of an error of rustls in UTC.
pub(crate) fn unix_date(time: UnixTime) -> String {
    date(at(time.as_secs().min(LAST)))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_text() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(date(before), "1970-01-01T00:00:00Z");
        assert_eq!(date(at(1_795_883_202)), "2026-11-28T16:26:42Z");
        let never = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
        assert_eq!(unix_date(never), "9999-12-31T23:59:59Z");
    }
}
