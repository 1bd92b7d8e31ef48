use super::*;

#[test]
fn an_interval_is_seconds_or_has_a_unit() {
    for (text, millis) in [("2", 2_000), ("0.5", 500), ("1m", 60_000), ("300ms", 300)] {
        assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "0", "0.01", "-1", "soon", "1ms"] {
        assert!(interval(text).is_err(), "{text}");
    }
}
