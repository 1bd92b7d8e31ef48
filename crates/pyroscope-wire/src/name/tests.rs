use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use Dialect::{Legacy, Modern};

/// Input, and its result in the legacy and in the modern dialect: the printed name, or `ERR` and the text of
/// the fault.
const VECTORS: &[(&str, &str, &str)] = &[
    (
        "",
        "ERR application name is required",
        "ERR service name is required",
    ),
    (
        "  ",
        "ERR application name is required",
        "ERR service name is required",
    ),
    (
        "{a=1}",
        "ERR application name is required",
        "ERR service name is required",
    ),
    ("foo", "foo{}", "foo{}"),
    ("foo{", "foo{}", "foo{}"),
    ("foo{}", "foo{}", "foo{}"),
    ("foo{a}", "foo{}", "foo{}"),
    ("foo{a=1}", "foo{a=1}", "foo{a=1}"),
    ("foo{a=1", "foo{}", "foo{}"),
    ("foo{a=1,b=2", "foo{a=1}", "foo{a=1}"),
    ("foo{a=1,}", "foo{a=1}", "foo{a=1}"),
    (
        "foo{,a=1}",
        "ERR invalid tag key: ,a: character is not allowed: ','",
        "ERR invalid label name: ,a: character is not allowed: ','",
    ),
    (
        "foo{a,b=1}",
        "ERR invalid tag key: a,b: character is not allowed: ','",
        "ERR invalid label name: a,b: character is not allowed: ','",
    ),
    (
        "foo{=1}",
        "ERR tag key is required",
        "ERR label name is required",
    ),
    ("foo{a=}", "foo{a=}", "foo{a=}"),
    ("foo{a=b=c}", "foo{a=b=c}", "foo{a=b=c}"),
    ("foo{a=x,a=y}", "foo{a=y}", "foo{a=y}"),
    ("foo{a=1}junk", "foo{a=1}", "foo{a=1}"),
    ("foo{a=1}b=2}", "foo{a=1,b=2}", "foo{a=1,b=2}"),
    ("foo{a=1}}b=2}", "foo{a=1}", "foo{a=1}"),
    (
        "foo{a=1}{b=2}",
        "ERR invalid tag key: {b: character is not allowed: '{'",
        "ERR invalid label name: {b: character is not allowed: '{'",
    ),
    (
        "foo{a=b}c,d=2}",
        "ERR invalid tag key: c,d: character is not allowed: ','",
        "ERR invalid label name: c,d: character is not allowed: ','",
    ),
    ("foo{a=b{c}", "foo{a=b{c}", "foo{a=b{c}"),
    ("foo{a=1;b=2}", "foo{a=1;b=2}", "foo{a=1;b=2}"),
    ("foo{a = 1 , b = 2 } ", "foo{a=1,b=2}", "foo{a=1,b=2}"),
    ("foo{a=\"q\"}", "foo{a=\"q\"}", "foo{a=\"q\"}"),
    ("foo{a=ü,b=日本}", "foo{a=ü,b=日本}", "foo{a=ü,b=日本}"),
    (
        "foo{ü=1}",
        "ERR invalid tag key: ü: character is not allowed: 'ü'",
        "ERR invalid label name: ü: character is not allowed: 'ü'",
    ),
    (
        "fóo",
        "ERR invalid application name: fóo: character is not allowed: 'ó'",
        "ERR invalid service name: fóo: character is not allowed: 'ó'",
    ),
    (
        "foo bar",
        "ERR invalid application name: foo bar: character is not allowed: ' '",
        "ERR invalid service name: foo bar: character is not allowed: ' '",
    ),
    (
        "foo:bar",
        "ERR invalid application name: foo:bar: character is not allowed: ':'",
        "ERR invalid service name: foo:bar: character is not allowed: ':'",
    ),
    (
        "foo}bar{a=1}",
        "ERR invalid application name: foo}bar: character is not allowed: '}'",
        "ERR invalid service name: foo}bar: character is not allowed: '}'",
    ),
    (
        "foo/bar",
        "ERR invalid application name: foo/bar: character is not allowed: '/'",
        "foo/bar{}",
    ),
    (
        "foo{a.b=1}",
        "ERR invalid tag key: a.b: character is not allowed: '.'",
        "foo{a.b=1}",
    ),
    (
        "foo{a-b=1}",
        "ERR invalid tag key: a-b: character is not allowed: '-'",
        "ERR invalid label name: a-b: character is not allowed: '-'",
    ),
    ("foo{1a=1}", "foo{1a=1}", "foo{1a=1}"),
    (
        "foo{__session_id__=0a0b}",
        "foo{__session_id__=0a0b}",
        "foo{__session_id__=0a0b}",
    ),
    // The servers cannot read their own normalized form of these names, but they can read the form that `Name`
    // prints.
    (
        "foo{__name__=evil name!}",
        "foo{__name__=evil name!}",
        "foo{__name__=evil name!}",
    ),
    (
        "foo{b=1,__name__=,A=2}",
        "foo{A=2,__name__=,b=1}",
        "foo{A=2,__name__=,b=1}",
    ),
    ("foo{__name__=other,b=1}", "other{b=1}", "other{b=1}"),
    ("foo{__name__=a/b}", "foo{__name__=a/b}", "a/b{}"),
];

#[test]
fn every_name_is_read_as_the_servers_read_it() {
    for &(input, legacy, modern) in VECTORS {
        for (dialect, expected) in [(Legacy, legacy), (Modern, modern)] {
            let got = match Name::parse(input, dialect) {
                Ok(name) => name.to_string(),
                Err(fault) => format!("ERR {fault}"),
            };
            assert_eq!(got, expected, "{dialect:?} {input:?}");
            assert_eq!(
                Name::check(input, dialect).is_ok(),
                !expected.starts_with("ERR")
            );
        }
    }
}

#[test]
fn the_name_inside_the_braces_is_the_name_of_the_application() {
    let name = Name::parse("foo{__name__=evil name!,b=1}", Modern).unwrap();
    assert_eq!(name.app(), "evil name!");
    assert_eq!(name.labels().collect::<Vec<_>>(), [("b", "1")]);
}

#[test]
fn a_tag_replaces_the_label_of_that_key() {
    let mut name = Name::parse("foo{region=here,z=1}", Modern).unwrap();
    name.upsert("region", "there");
    name.upsert("env", "x");
    assert_eq!(name.to_string(), "foo{env=x,region=there,z=1}");
}

#[test]
fn a_name_of_many_labels_is_read_in_reasonable_time() {
    let many = format!(
        "foo{{{}}}",
        (0..20_000).map(|i| format!("k{i}=v,")).collect::<String>()
    );
    assert_eq!(Name::parse(&many, Modern).unwrap().labels().count(), 20_000);
}

/// The servers' state machine, rune by rune and without optimization. `walk` must give the same result.
fn reference(input: &str, dialect: Dialect) -> Result<BTreeMap<String, String>, NameFault> {
    let mut labels = BTreeMap::new();
    let (mut state, mut key, mut value) = ("name", String::new(), String::new());
    for rune in input.chars().chain(['{']) {
        match (state, rune) {
            ("name", '{') => {
                dialect.check_app(value.trim())?;
                labels.insert(APP_LABEL.to_owned(), value.trim().to_owned());
                state = "key";
            }
            ("key", '}') => state = "done",
            ("key", '=') => {
                state = "value";
                value.clear();
            }
            ("key", rune) => key.push(rune),
            ("value", ',' | '}') => {
                dialect.check_key(key.trim())?;
                labels.insert(key.trim().to_owned(), value.trim().to_owned());
                key.clear();
                state = "key";
            }
            ("done", _) => {}
            (_, rune) => value.push(rune),
        }
    }
    Ok(labels)
}

fn all_labels(name: &Name<'_>) -> BTreeMap<String, String> {
    let app = (APP_LABEL, name.app());
    name.labels()
        .chain([app])
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Arbitrary texts, random sequences of the grammar's pieces, and names that nearly always parse.
fn names() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "a", "B", "{", "}", "=", ",", "__name__", "-", ".", "/", " ", "é", "\u{a0}", "1", "\n",
    ];
    prop_oneof![
        any::<String>(),
        prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|p| p.concat()),
        "[a-c./_-]{1,4}\\{( ?(a|b|__name__|[A-Za-z_.]{1,3}) ?=[^,}]{0,4}[,}]){0,5}[a=}]{0,3}",
    ]
}

proptest! {
    #[test]
    fn parsing_equals_the_machine_of_the_servers(input in names()) {
        for dialect in [Legacy, Modern] {
            let got = Name::parse(&input, dialect).map(|name| all_labels(&name));
            prop_assert_eq!(got, reference(&input, dialect));
        }
    }

    #[test]
    fn what_is_printed_is_read_back_as_exactly_the_labels_wanted(
        input in names(),
        tags in prop::collection::btree_map("[A-Za-z0-9_]{1,3}", "([!-+\\--|~é]{1,3})?", 0..4),
    ) {
        for dialect in [Legacy, Modern] {
            let Ok(mut name) = Name::parse(&input, dialect) else { continue };
            let mut wanted = all_labels(&name);
            for (key, value) in &tags {
                name.upsert(key, value);
                wanted.insert(key.clone(), value.clone());
            }
            let printed = name.to_string();
            let again = Name::parse(&printed, dialect).unwrap();
            prop_assert_eq!(all_labels(&again), wanted);
            prop_assert_eq!(again.to_string(), printed, "printing is idempotent");
        }
    }

    #[test]
    fn what_legacy_accepts_modern_accepts_with_the_same_labels(input in names()) {
        if let Ok(legacy) = Name::parse(&input, Legacy) {
            let modern = Name::parse(&input, Modern).unwrap();
            prop_assert_eq!(all_labels(&modern), all_labels(&legacy));
        }
    }
}
