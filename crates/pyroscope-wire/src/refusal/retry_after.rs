//! The `Retry-After` header of a response.

use std::time::{Duration, SystemTime};

/// Reads the value of a `Retry-After` header (RFC 9110 §10.2.3) that was received at `now`.
///
/// Accepts both forms: a number of seconds, and a date in each of the three notations of RFC 9110
/// §5.6.7. A date in the past gives zero. A number that does not fit gives `u64::MAX` seconds, so the
/// caller must clamp the result. `None` for any other value.
pub fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = str::from_utf8(value).ok()?;
    let text = text.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Parsing digits fails only if the number does not fit.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    /// 1994-11-06 08:49:37, the date of the examples in RFC 9110.
    const THEN: u64 = 784_111_777;

    fn at(value: &str, now: u64) -> Option<u64> {
        let now = UNIX_EPOCH + Duration::from_secs(now);
        retry_after(value.as_bytes(), now).map(|delay| delay.as_secs())
    }

    #[test]
    fn seconds_are_taken_in_any_number_of_digits() {
        for (value, seconds) in [
            ("0", 0),
            ("120", 120),
            ("007", 7),
            (" 30\t", 30),
            ("18446744073709551615", u64::MAX),
            ("99999999999999999999999999", u64::MAX),
        ] {
            assert_eq!(at(value, THEN), Some(seconds), "{value}");
        }
    }

    #[test]
    fn dates_are_taken_in_all_three_notations() {
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(at(value, THEN - 90), Some(90), "{value}");
            assert_eq!(at(value, THEN), Some(0), "{value}");
            assert_eq!(at(value, THEN + 1), Some(0), "{value}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for value in [
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            "30s",
            "soon",
            "１",
            "Sun, 06 Nov 1994",
        ] {
            assert_eq!(at(value, THEN), None, "{value}");
        }
        assert_eq!(retry_after(b"\xff\x00", UNIX_EPOCH), None);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40).boxed(),
                "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"
                    .prop_map(String::into_bytes)
                    .boxed(),
            ],
            now in any::<i32>(),
        ) {
            let offset = Duration::from_secs(now.unsigned_abs().into());
            let now = if now < 0 { UNIX_EPOCH - offset } else { UNIX_EPOCH + offset };
            let _delay = retry_after(&value, now);
        }
    }
}
