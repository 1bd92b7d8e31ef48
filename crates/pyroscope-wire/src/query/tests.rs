use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn read(query: &str, key: &str) -> Option<String> {
    let [value] = first(query, [key]);
    value.map(|value| value.decode().into_owned())
}

#[test]
fn pairs_are_read_as_go_reads_them() {
    for (query, name) in [
        ("name=a", Some("a")),
        ("name=a&name=b", Some("a")),
        ("name", Some("")),
        ("name=", Some("")),
        ("", None),
        ("&&name=a&&", Some("a")),
        ("name=a;b&from=1", None),
        ("name=a;b&name=c", Some("c")),
        ("name=a%zz", None),
        ("name=a%", None),
        ("name=a%4", None),
        ("name=a%zz&name=b", Some("b")),
        ("na%zzme=a", None),
        ("name=x+y%20z%2B", Some("x y z+")),
        ("name=a{b=c}", Some("a{b=c}")),
        ("%6eame=a&name=b", Some("a")),
        ("Name=a", None),
        ("name==a", Some("=a")),
        ("x=name=a", None),
        ("name=a%3Bb", Some("a;b")),
        ("name=日本", Some("日本")),
        ("name=%E6%97%A5", Some("日")),
        ("na+me=a", None),
    ] {
        assert_eq!(read(query, "name").as_deref(), name, "{query}");
    }
}

#[test]
fn every_byte_that_is_not_utf8_becomes_one_replacement_character() {
    assert_eq!(read("name=a%FFb", "name").unwrap(), "a\u{fffd}b");
    assert_eq!(read("name=%E6%97", "name").unwrap(), "\u{fffd}\u{fffd}");
    assert_eq!(read("name=%E6%97x", "name").unwrap(), "\u{fffd}\u{fffd}x");
}

#[test]
fn only_the_bytes_of_the_value_are_replaced() {
    let query = "&b=%7e&from&a=;&name=a+b&&name=z&from=2";
    let [name, from] = first(query, ["name", "from"]);
    let edits = [name.zip(Some("x{y=z w}")), from.zip(Some("17"))];
    assert_eq!(
        replace(query, &edits, |text, out| out.write_str(text)),
        "&b=%7e&from=17&a=;&name=x%7By%3Dz%20w%7D&&name=z&from=2"
    );
}

#[test]
fn encoded_text_reads_back() {
    let query = format!("name={}", encode("a{b=c d+é;&%"));
    assert_eq!(query, "name=a%7Bb%3Dc%20d%2B%C3%A9%3B%26%25");
    assert_eq!(read(&query, "name").unwrap(), "a{b=c d+é;&%");
}

fn queries() -> impl Strategy<Value = String> {
    const TOKENS: &[&str] = &[
        "name", "from", "=", "&", ";", "%", "%zz", "%6e", "%FF", "+", "a", "é", "ame",
    ];
    prop_oneof![
        any::<String>(),
        prop::collection::vec(prop::sample::select(TOKENS), 0..24).prop_map(|t| t.concat()),
    ]
}

/// All but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

proptest! {
    #[test]
    fn escapes_are_undone_as_everybody_does(raw in prop_oneof![any::<String>(), "[%+a0-9A-Fé=]{0,24}"]) {
        let spaced = raw.replace('+', " ");
        let expected: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
        prop_assert_eq!(unescape(raw.as_bytes()).into_owned(), expected);
    }

    #[test]
    fn text_is_encoded_as_everybody_does_as_a_whole_and_by_characters(text in any::<String>()) {
        let expected = utf8_percent_encode(&text, RESERVED).to_string();
        prop_assert_eq!(encode(&text), expected.clone());

        let mut out = String::new();
        text.chars().for_each(|c| PercentEncoder(&mut out).write_char(c).unwrap());
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn a_span_holds_exactly_the_raw_value(query in queries()) {
        for value in first(&query, ["name", "from"]).into_iter().flatten() {
            prop_assert_eq!(&query[value.span()], value.raw());
        }
    }

    #[test]
    fn a_replaced_value_reads_back_and_nothing_else_changes(query in queries(), text in any::<String>()) {
        let query = query + "&name=last";
        let [name, from] = first(&query, ["name", "from"]);
        let edits = [name.zip(Some(&text))];
        let edited = replace(&query, &edits, |text, out| write!(out, "{text}"));
        prop_assert_eq!(read(&edited, "name"), Some(text));
        prop_assert_eq!(read(&edited, "from"), from.map(|value| value.decode().into_owned()));
        prop_assert_eq!(edited.split('&').count(), query.split('&').count());
        let changed = edited.split('&').zip(query.split('&')).filter(|(a, b)| a != b).count();
        prop_assert!(changed <= 1);
    }
}
