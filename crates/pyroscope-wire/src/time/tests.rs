use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Whole seconds of the receipt; its nanoseconds are [`FRACTION`].
const NOW: u64 = 1_577_836_800;

const FRACTION: u64 = 999_000_007;

fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(NOW * SECOND + FRACTION)
}

fn at(raw: &str) -> ResolvedTime {
    resolve(raw, received())
}

#[test]
fn digits_are_points_in_time_in_any_unit() {
    for (raw, nanos) in [
        ("1577836800", 1_577_836_800_000_000_000),
        ("1577836800001", 1_577_836_800_001_000_000),
        ("1577836800000001", 1_577_836_800_000_001_000),
        ("1577836800000000001", 1_577_836_800_000_000_001),
        ("0000000000000000001", 1),
        ("20200101", 1_577_836_800_000_000_000),
        ("20200229", 1_582_934_400_000_000_000),
        ("20210229", 20_210_229_000_000_000),
        ("99999999", 99_999_999_000_000_000),
        ("1_654_110_240", 1_654_110_240_000_000_000),
        ("1,654,110,240", 1_654_110_240_000_000_000),
        (" 1654110240 ", 1_654_110_240_000_000_000),
        ("0", 0),
        ("9999999999999999999", LAST),
        ("99999999999999999999", LAST),
        ("\t1577836800\u{a0}", 1_577_836_800_000_000_000),
    ] {
        assert_eq!(at(raw), ResolvedTime::Absolute(nanos), "{raw}");
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
        ("1６", NOW),
    ] {
        let expected = expected * SECOND + FRACTION;
        assert_eq!(at(raw), ResolvedTime::Relative(expected), "{raw:?}");
    }
    for (raw, expected) in [
        ("-99999999999999999999y", 0),
        ("+99999999999999999999y", LAST),
    ] {
        assert_eq!(at(raw), ResolvedTime::Relative(expected), "{raw:?}");
    }
}

#[test]
fn a_clock_before_1970_does_not_matter() {
    let before = UNIX_EPOCH - Duration::from_secs(5);
    assert_eq!(resolve("now-1h", before), ResolvedTime::Relative(0));
}

#[test]
fn from_is_at_most_until_whichever_of_them_the_client_gave() {
    let second = |text: &str| text.parse::<u64>().unwrap() * SECOND;
    let stamp = NOW * SECOND + FRACTION;
    for (from, until, expected) in [
        (None, None, (Some(stamp), Some(stamp))),
        (Some(""), Some("now"), (Some(stamp), Some(stamp))),
        (Some("now-1s"), None, (Some(stamp - SECOND), Some(stamp))),
        (Some("now"), Some("now-1h"), (Some(stamp), Some(stamp))),
        (Some("1"), Some("2"), (None, None)),
        (Some("2"), Some("1"), (None, None)),
        (Some("1577836800"), None, (None, Some(stamp))),
        // The client's clock is ahead of ours.
        (Some("1577836801"), None, (None, Some(second("1577836801")))),
        (
            Some("1577836801000"),
            Some("now-5s"),
            (None, Some(second("1577836801"))),
        ),
        // Seconds that the client cut off: both records of one second keep their fractions.
        (None, Some("1577836800"), (Some(stamp - SECOND), None)),
        (None, Some("1577836801"), (Some(stamp), None)),
        (
            Some("now"),
            Some("20191231"),
            (Some(second("1577750399") + FRACTION), None),
        ),
        (None, Some("0"), (Some(0), None)),
    ] {
        let new = resolve_both(from, until, received());
        assert_eq!((new.from, new.until), expected, "{from:?} {until:?}");
    }
}

fn time() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "[0-9]{0,20}".prop_map(Some),
        "(now)?[+-][0-9]{0,25}[a-zA-Z]{0,3}".prop_map(Some),
        "(1577836[0-9]{3}|15778368[0-9]{2}000|1577836[0-9]{3}000000000|202001[0-3][0-9])"
            .prop_map(Some),
        any::<String>().prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn what_was_resolved_is_absolute_and_in_order(from in time(), until in time()) {
        let new = resolve_both(from.as_deref(), until.as_deref(), received());
        let read = |time: Option<String>, new: Option<u64>| {
            let text = new.map(|nanos| format!("{nanos:019}")).or(time).unwrap();
            match at(&text) {
                ResolvedTime::Absolute(nanos) => nanos,
                ResolvedTime::Relative(_) => panic!("{text:?} is read at delivery"),
            }
        };
        if new.from.is_some() || new.until.is_some() {
            prop_assert!(read(from, new.from) <= read(until, new.until));
        }
    }
}
