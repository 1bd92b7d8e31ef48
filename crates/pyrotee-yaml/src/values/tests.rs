use proptest::prelude::*;

use super::*;

#[test]
fn durations_are_those_of_go() {
    for (text, millis) in [
        ("10s", 10_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        ("300ms", 300),
        ("1m30.5s", 90_500),
        ("2000µs", 2),
        ("2000μs", 2),
        ("0", 0),
        ("0s", 0),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn durations_that_go_refuses_are_faults_with_a_remedy() {
    for (text, part) in [
        ("5", "has no unit; write one"),
        ("1.5", "has no unit"),
        ("1d", "write hours"),
        ("2w", "write hours"),
        ("1M", "the units are"),
        ("1min", "the units are"),
        ("10 s", "the units are"),
        ("s", "is not a duration"),
        ("", "is not a duration"),
        ("1h5", "is not a duration"),
        ("-5s", "is negative"),
        ("9000h", "longer than a year"),
        ("99999999999999999999s", "too large"),
        ("1..5s", "too large or too fine"),
    ] {
        let problem = duration(text).unwrap_err();
        assert!(problem.contains(part), "{text}: {problem}");
    }
    assert!(wait("0").unwrap_err().contains("no time at all"));
}

#[test]
fn sizes_are_decimal_or_binary() {
    for (text, bytes) in [
        ("64MiB", 64 << 20),
        ("64Mi", 64 << 20),
        ("5M", 5_000_000),
        ("1.5GiB", 3 << 29),
        ("1048576", 1 << 20),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for (bytes, text) in [
        (1500, "1500"),
        (2_000_000, "2MB"),
        (64_000_000, "64MB"),
        (1_024_000, "1000KiB"),
        (3 << 29, "1536MiB"),
    ] {
        assert_eq!(format_size(bytes), text);
    }
    for text in ["", "-5M", "0", "1e6", "5 apples", "2EiB", "MiB"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn a_rate_is_a_size_or_none() {
    assert_eq!(rate("2MB"), Ok(NonZeroU64::new(2_000_000)));
    assert_eq!(rate("0"), Ok(None));
    assert!(rate("-1").unwrap_err().contains("is negative"));
    assert!(rate("fast").unwrap_err().contains("is not a size"));
}

#[test]
fn counts_and_booleans_are_strict() {
    assert_eq!(count("100", 100), Ok(100));
    assert!(count("-1", 100).unwrap_err().contains("negative"));
    assert!(count("101", 100).unwrap_err().contains("more than 100"));
    for text in ["", "1.0", "+1", "ten", "0x10"] {
        assert!(
            count(text, 100).unwrap_err().contains("whole number"),
            "{text}"
        );
    }
    assert_eq!(boolean("true"), Ok(true));
    assert!(boolean("yes").unwrap_err().contains("write one of them"));
}

proptest! {
    #[test]
    fn a_formatted_value_is_read_as_the_same(
        nanos in 0..8760_u64 * 3600 * 1_000_000_000,
        bytes in 1..MAX_SIZE,
    ) {
        let waited = Duration::from_nanos(nanos);
        prop_assert_eq!(duration(&format_duration(waited)), Ok(waited));
        prop_assert_eq!(size(&format_size(bytes)), Ok(bytes));
        let round = bytes >> 20 << 20;
        prop_assume!(round > 0);
        prop_assert_eq!(size(&format_size(round)), Ok(round));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "[-0-9.a-zµ ]{0,12}|\\PC{0,8}") {
        let parsed = (duration(&text), size(&text), rate(&text), count(&text, 10));
        prop_assert!(text != "x" || parsed.0.is_err());
    }
}
