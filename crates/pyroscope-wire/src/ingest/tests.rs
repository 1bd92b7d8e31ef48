use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(1_700_000_000_900_000_007)
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags::parse(
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned())),
    )
    .unwrap()
}

fn with_env(query: &str) -> String {
    target_query(query, &tags(&[("env", "x")]), received()).unwrap()
}

#[test]
fn only_a_client_that_named_both_times_has_absolute_ones() {
    for (query, expected) in [
        ("name=a&from=1&until=2", true),
        ("until=20200101&from=1795397392000000000", true),
        ("%66rom=1_795_397_392&until=0", true),
        ("name=a", false),
        ("from=1", false),
        ("until=2", false),
        ("from=&until=2", false),
        ("from=1&until", false),
        ("from=now-10s&until=now", false),
        ("from=1&until=now", false),
        ("from=1;&until=2", false),
        ("from=now&from=1&until=2", false),
    ] {
        assert_eq!(has_absolute_times(query), expected, "{query}");
    }
}

#[test]
fn everything_but_the_name_stays_byte_for_byte() {
    assert_eq!(
        with_env(
            "z=%7e&units=&name=a&&spyVersion=1+2&from=1795397392000000000&until=2&sampleRate=0"
        ),
        "z=%7e&units=&name=a%7Benv%3Dx%7D&&spyVersion=1+2&from=1795397392000000000&until=2&sampleRate=0"
    );
}

#[test]
fn without_tags_and_with_times_the_query_is_the_clients_own() {
    let query = "name=foo%7ba=1,+b=2&from=1&until=20220601&name=x";
    assert_eq!(
        target_query(query, &Tags::default(), received()).unwrap(),
        query
    );
}

#[test]
fn times_that_are_missing_or_dropped_by_the_server_are_appended() {
    let end = "&from=1700000000900000007&until=1700000000900000007";
    for query in ["name=a", "name=a&from=1;2&until=%zz"] {
        let got = target_query(query, &Tags::default(), received()).unwrap();
        assert_eq!(got, format!("{query}{end}"));
    }
}

#[test]
fn times_that_are_empty_or_relative_are_replaced() {
    let got = target_query(
        "until&name=a&from=now-1h&until=5",
        &Tags::default(),
        received(),
    );
    assert_eq!(
        got.unwrap(),
        "until=1700000000900000007&name=a&from=1699996400900000007&until=5"
    );
}

#[test]
fn a_label_of_the_same_key_is_replaced_by_the_tag() {
    let query = "name=a%7Benv%3Dold%2Cb%3D17%2B6%20x%7D&from=1&until=2";
    assert_eq!(
        with_env(query),
        "name=a%7Bb%3D17%2B6%20x%2Cenv%3Dx%7D&from=1&until=2"
    );
}

#[test]
fn only_the_first_name_gets_the_tags() {
    assert_eq!(
        with_env("name=a;b&name=c&name=d&from=1&until=2"),
        "name=a;b&name=c%7Benv%3Dx%7D&name=d&from=1&until=2"
    );
}

#[test]
fn a_name_that_no_pyroscope_accepts_is_a_fault_in_modern_words() {
    for (query, text) in [
        ("", "service name is required"),
        ("name", "service name is required"),
        ("name=a;b", "service name is required"),
        (
            "name=app%7Bfoo%3Dbar%7D%7Bfiz%3Dbaz%7D",
            "invalid label name: {fiz: character is not allowed: '{'",
        ),
    ] {
        assert_eq!(check_name(query).unwrap_err().to_string(), text);
        for tags in [Tags::default(), tags(&[("env", "x")])] {
            assert_eq!(
                target_query(query, &tags, received())
                    .unwrap_err()
                    .to_string(),
                text
            );
        }
    }
    assert_eq!(check_name("name=a/b%7Bc.d=1%7D"), Ok(()));
}

#[test]
fn captured_names_keep_their_labels() {
    let name =
        "cap.golang.app%7B__session_id__%3D77e425ea48b3919f%2Cpod%3Dgo-0%2Cregion%3Deu-west-1%7D";
    let got = with_env(&format!("aggregationType=&from=1&name={name}&until=2"));
    let description = describe(&got, None);
    assert_eq!(description.app, "cap.golang.app");
    let labels: Vec<_> = description
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("__session_id__", "77e425ea48b3919f"),
            ("env", "x"),
            ("pod", "go-0"),
            ("region", "eu-west-1")
        ]
    );
}

#[test]
fn the_format_is_decided_in_the_order_of_the_servers() {
    let multipart = "multipart/form-data; boundary=x";
    for (query, content_type, format) in [
        ("format=trie", None, "trie"),
        ("format=pprof", Some("binary/octet-stream+trie"), "trie"),
        ("", Some("binary/octet-stream+tree"), "tree"),
        ("", Some("binary/octet-stream+tree; charset=x"), "groups"),
        ("format=tree", Some("binary/octet-stream+trie"), "trie"),
        ("format=lines", Some(multipart), "lines"),
        ("format=jfr", Some(multipart), "jfr"),
        ("format=pprof", Some(multipart), "pprof"),
        ("format=speedscope", None, "speedscope"),
        ("", Some(multipart), "multipart"),
        ("format=folded", Some(multipart), "multipart"),
        ("format=folded", Some("text/plain"), "groups"),
        ("", None, "groups"),
    ] {
        assert_eq!(
            describe(query, content_type).format.as_str(),
            format,
            "{query} {content_type:?}"
        );
    }
}

#[test]
fn a_name_that_does_not_parse_is_shown_as_it_came() {
    let description = describe("name=foo+bar%7Ba=1%7D", None);
    assert_eq!(
        (description.app.as_str(), description.labels.len()),
        ("foo bar{a=1}", 0)
    );
}

fn queries() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "name=",
        "from=",
        "until=",
        "&",
        "&",
        ";",
        "%zz",
        "%6eame=",
        "+",
        "now-1h",
        "17",
        "app",
        "%7B",
        "a%3D1",
        "%2C",
        "}",
        "__name__=",
        "%FF",
        "x=y",
        "é",
        "from",
        "env=q,",
    ];
    prop_oneof![
        any::<String>(),
        prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|p| p.concat()),
        "(x&)?name=[a-c]{1,2}(%7B(env|a|__name__)=[^&%;]{0,3}(,|%7D|}))?(&(from|until)(=(now-1h|17)?)?){0,3}(&[^#]{0,3})?",
    ]
}

fn labels(query: &str) -> (String, Vec<(String, String)>) {
    let description = describe(query, None);
    (description.app, description.labels)
}

proptest! {
    #[test]
    fn only_the_values_of_name_and_times_change(query in queries(), tagged in any::<bool>()) {
        let tags = if tagged { tags(&[("env", "a b"), ("a", "")]) } else { Tags::default() };
        let got = target_query(&query, &tags, received());
        prop_assert_eq!(got.is_ok(), check_name(&query).is_ok());
        let Ok(got) = got else { return Ok(()) };

        // The first surviving pair of a key may change behind its `=`, no other pair at all.
        let firsts = query::first(&query, ["name", "from", "until"]);
        let mut offset = 0;
        let mut theirs = got.split('&');
        for pair in query.split('&') {
            let theirs = theirs.next().unwrap();
            let span = offset..=offset + pair.len();
            if firsts.iter().flatten().any(|value| span.contains(&value.span().start)) {
                prop_assert_eq!(pair.split('=').next(), theirs.split('=').next());
            } else {
                prop_assert_eq!(pair, theirs);
            }
            offset += pair.len() + 1;
        }
        let appended: Vec<_> = theirs.collect();
        let missing = firsts.iter().skip(1).filter(|value| value.is_none()).count();
        prop_assert_eq!(appended.len(), missing);
        prop_assert!(appended.iter().all(|pair| pair.split('=').next_back().unwrap().len() == 19));

        // The labels are those of the client, with the tags on top.
        let (app, mut wanted) = labels(&query);
        wanted.retain(|(key, _)| tags.iter().all(|(tag, _)| tag != key));
        wanted.extend(tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
        wanted.sort();
        prop_assert_eq!(labels(&got), (app, wanted));

        // The query is final: a later rewrite changes nothing.
        let later = received() + Duration::from_secs(9);
        prop_assert_eq!(target_query(&got, &tags, later).unwrap(), got);
    }
}
