//! Texts about limits: whether a limit applies to all records of a target, or only to this record.

use std::time::{Duration, SystemTime};

use super::Meaning::{self, RecordLimit, Rejected, Throttled};
use super::error_text::{ErrorText, without_prefix};
use crate::error_response::RpcCode;

/// Divisor of the rate: a record that adds more than the rate divided by this number counts as too large for
/// the burst, which the text does not name; for a smaller record the rate is the cause. Pyroscope's default is
/// a burst of half a second.
const BURST_DIVISOR: f64 = 4.0;

/// Texts for a message that is too large, from connect, Go's gRPC and Go's HTTP: no retry makes the message
/// smaller.
const SIZES: &[&str] = &[
    "message size ",
    "grpc: received message",
    "grpc: trying to send message larger than max",
    "trying to send message larger than max",
    "request body too large",
    "http: request body too large",
];

/// Texts for a limit of the rate of all uploads to a target.
const RATES: &[&str] = &[
    "push rate limit",
    "ingestion rate limit",
    "rate limit",
    "resource exhausted",
    "too many requests",
];

/// The meaning of an error that names a limit; `None` for any other error.
pub(super) fn meaning(text: &ErrorText) -> Option<Meaning> {
    if text.starts_with(SIZES) {
        return Some(Rejected);
    }
    // Only a new series exceeds the limit: profiles of existing series are accepted.
    if text.starts_with(&["maximum active series limit exceeded"]) {
        return Some(RecordLimit);
    }
    if let Some(quota) = Quota::of(&text.reason) {
        return Some(match quota.of_group {
            true => RecordLimit,
            false => Throttled,
        });
    }
    if exceeds_burst(&text.reason) == Some(true) {
        return Some(RecordLimit);
    }
    text.starts_with(RATES).then_some(Throttled)
}

/// Time until a quota of the whole tenant is reset, from an error response that was received at `now`:
/// `limit of 1.0 GiB/day reached, next reset at 2026-08-01T00:00:00Z`.
///
/// `None` unless the response has status 429 or the code `resource_exhausted`. A time in the past gives
/// zero. The caller must clamp the result.
pub fn quota_reset(status: u16, body: &str, now: SystemTime) -> Option<Duration> {
    let text = ErrorText::parse(body);
    if status != 429 && text.code != Some(RpcCode::ResourceExhausted) {
        return None;
    }
    let quota = Quota::of(&text.reason).filter(|quota| !quota.of_group)?;
    let (_, reset) = quota.rest.split_once("next reset at ")?;
    let reset = rfc_3339(reset.split_whitespace().next()?)?;
    Some(reset.duration_since(now).unwrap_or_default())
}

/// A quota that is used up: `limit of 1.0 GiB/day reached …`.
struct Quota<'t> {
    /// The quota is that of a usage group, which the profile's labels select; otherwise it is the tenant's.
    of_group: bool,
    rest: &'t str,
}

impl<'t> Quota<'t> {
    fn of(reason: &'t str) -> Option<Self> {
        let amount = without_prefix(reason, "limit of ")?;
        let (amount, rest) = amount.split_once(" reached")?;
        let is_amount = amount.contains('/') && amount.split(' ').count() <= 2;
        is_amount.then(|| Self {
            of_group: rest.starts_with(" for usage group"),
            rest,
        })
    }
}

/// Whether one record alone exceeds the burst of a rate limit:
/// `push rate limit (4.0 MiB) exceeded while adding 2.6 MiB`. `None` for any other text.
fn exceeds_burst(reason: &str) -> Option<bool> {
    let rest = without_prefix(reason, "push rate limit (")?;
    let (rate, added) = rest.split_once(") exceeded while adding ")?;
    Some(bytes(added)? > bytes(rate)? / BURST_DIVISOR)
}

/// Reads a size as Go's humanize prints it: `4.0 MiB`, `512 B`.
fn bytes(text: &str) -> Option<f64> {
    const UNITS: [&str; 7] = ["b", "kib", "mib", "gib", "tib", "pib", "eib"];
    let mut words = text.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let unit = words
        .next()?
        .trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let mut factors = UNITS.into_iter().zip(0..);
    let (_, power) = factors.find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    Some(number * 1024_f64.powi(power))
}

/// Reads a time of RFC 3339 with any offset.
fn rfc_3339(text: &str) -> Option<SystemTime> {
    if let Ok(time) = humantime::parse_rfc3339(text) {
        return Some(time);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let minutes = hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let offset_duration = Duration::from_secs(minutes * 60);
    match offset.get(..1)? {
        "+" => local.checked_sub(offset_duration),
        "-" => local.checked_add(offset_duration),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    fn of(reason: &str) -> Option<Meaning> {
        meaning(&ErrorText::parse(reason))
    }

    #[test]
    fn what_is_added_tells_a_burst_from_a_rate() {
        for (rate, added, expected) in [
            ("4.0 MiB", "2.6 MiB", RecordLimit),
            ("4.0 MiB", "1.1 MiB", RecordLimit),
            ("4.0 MiB", "1.0 MiB", Throttled),
            ("4.0 MiB", "900 KiB", Throttled),
            ("4.0 MiB", "12 B", Throttled),
            ("1.0 GiB", "300 MiB", RecordLimit),
            ("1 B", "20 KiB", RecordLimit),
            // Another notation: the rate is the safer guess.
            ("4 megabytes", "3 megabytes", Throttled),
        ] {
            let reason = format!("push rate limit ({rate}) exceeded while adding {added}");
            assert_eq!(of(&reason), Some(expected), "{reason}");
        }
    }

    #[test]
    fn a_quota_is_the_tenants_or_that_of_a_group() {
        for (reason, expected) in [
            (
                "limit of 1.0 GiB/day reached, next reset at x",
                Some(Throttled),
            ),
            (
                "limit of 0 B/month reached for usage group a reached, next reset at x",
                Some(RecordLimit),
            ),
            ("limit of what was reached", None),
            ("limit of a, b and c/d reached", None),
        ] {
            assert_eq!(of(reason), expected, "{reason}");
        }
    }

    #[test]
    fn a_quota_names_its_reset() {
        // 2026-08-01T00:00:00Z.
        let now = UNIX_EPOCH + Duration::from_secs(1_785_542_400 - 600);
        let reset = |status, at: &str| {
            let body = format!("limit of 1.0 GiB/day reached, next reset at {at}");
            quota_reset(status, &body, now).map(|wait| wait.as_secs())
        };
        for (at, wait) in [
            ("2026-08-01T00:00:00Z", Some(600)),
            ("2026-08-01T02:00:00+02:00", Some(600)),
            ("2026-07-31T18:30:00-05:30", Some(600)),
            ("2026-07-01T00:00:00Z", Some(0)),
            ("2026-08-02T00:00:00Z", Some(600 + 86_400)),
            ("soon", None),
            ("2026-08-01", None),
            ("é-08-01T00:00:00+02:é", None),
            ("", None),
        ] {
            assert_eq!(reset(429, at), wait, "{at}");
        }
        assert_eq!(reset(422, "2026-08-01T00:00:00Z"), None, "without a code");
        let coded = |reason: &str| {
            let body = format!("{{\"code\":\"resource_exhausted\",\"message\":\"{reason}\"}}");
            quota_reset(422, &body, now).map(|wait| wait.as_secs())
        };
        let of_tenant = "limit of 1.0 GiB/day reached, next reset at 2026-08-01T00:00:00Z";
        assert_eq!(coded(of_tenant), Some(600));
        let of_group = of_tenant.replace(" reached", " reached for usage group g");
        assert_eq!(coded(&of_group), None, "the quota is not the target's");
        assert_eq!(coded("push rate limit (1 B) exceeded"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in prop_oneof![
                any::<String>().boxed(),
                "limit of \\PC{0,9}/day reached, next reset at \\PC{0,30}".boxed(),
                "limit of 1 B/day reached, next reset at [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8}[Z+-][0-9:]{0,9}".boxed(),
                "push rate limit \\(\\PC{0,9}\\) exceeded while adding \\PC{0,9}".boxed(),
            ],
        ) {
            let _meaning = of(&text);
            let _reset = quota_reset(429, &text, UNIX_EPOCH);
        }
    }
}
