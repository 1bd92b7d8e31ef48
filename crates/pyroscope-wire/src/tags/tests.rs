use proptest::prelude::*;

use super::*;
use crate::{Dialect, Name};

fn parse(pairs: &[(&str, &str)]) -> Result<Tags, Vec<TagFault>> {
    Tags::parse(
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned())),
    )
}

fn kind(key: &str, value: &str) -> Option<TagFaultKind> {
    parse(&[(key, value)]).err().map(|faults| {
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].kind.clone()
    })
}

#[test]
fn tags_come_in_order_of_their_keys() {
    let tags = parse(&[("b", "2"), ("B", ""), ("a_1", "x y=z{")]).unwrap();
    assert_eq!(
        tags.iter().collect::<Vec<_>>(),
        [("B", ""), ("a_1", "x y=z{"), ("b", "2")]
    );
    assert!(tags.renamed().is_empty());
    assert!(!tags.is_empty());
    assert!(parse(&[]).unwrap().is_empty());
}

#[test]
fn the_example_of_the_documentation_works_under_another_key() {
    let tags = parse(&[("cluster-name", "my-cluster")]).unwrap();
    assert_eq!(
        tags.iter().collect::<Vec<_>>(),
        [("cluster_name", "my-cluster")]
    );
    assert_eq!(
        tags.renamed(),
        [("cluster-name".to_owned(), "cluster_name".to_owned())]
    );
}

#[test]
fn keys_that_pyroscope_refuses_or_gives_a_meaning_are_faults() {
    use TagFaultKind::{KeyCharacter, KeyDot, KeyEmpty, KeyReserved};
    for (key, fault) in [
        ("", KeyEmpty),
        ("a.b", KeyDot),
        ("a b", KeyCharacter(' ')),
        ("ü", KeyCharacter('ü')),
        ("__name__", KeyReserved),
        ("__session_id__", KeyReserved),
        ("--x", KeyReserved),
        ("pyroscope_spy", KeyReserved),
        ("profile-id", KeyReserved),
        ("jfr_event", KeyReserved),
    ] {
        assert_eq!(kind(key, "x"), Some(fault), "{key}");
    }
    assert_eq!(kind("_a", "x"), None);
    assert_eq!(kind("service_name", "x"), None);
}

#[test]
fn keys_with_dots_are_for_targets_that_take_them() {
    let with_dots = |key: &str| {
        let tags = Tags::with_keys(TagKeys::Utf8, [(key.to_owned(), "x".to_owned())]);
        tags.map(|tags| {
            tags.iter()
                .map(|(key, _)| key.to_owned())
                .collect::<String>()
        })
        .map_err(|faults| faults[0].kind.clone())
    };
    assert_eq!(with_dots("k8s.pod.name"), Ok("k8s.pod.name".to_owned()));
    // The documentation's example becomes one and the same label, whatever keys the target accepts.
    assert_eq!(with_dots("cluster-name"), Ok("cluster_name".to_owned()));
    assert_eq!(with_dots("k8s.pod-name"), Ok("k8s.pod_name".to_owned()));
    // `/ingest` cannot carry these.
    for c in ['ü', ' ', '/', '=', ',', '{'] {
        let fault = Err(TagFaultKind::KeyCharacter(c));
        assert_eq!(with_dots(&format!("a{c}")), fault);
    }
    assert_eq!(with_dots("__x.y"), Err(TagFaultKind::KeyReserved));
}

#[test]
fn the_application_has_one_name_on_every_surface() {
    let pairs = [("service.name", "a"), ("service_name", "b")];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let same = TagFaultKind::SameAs("service.name".to_owned());
    assert_eq!(
        Tags::with_keys(TagKeys::Utf8, pairs),
        Err(vec![TagFault::new("service_name", same)])
    );
}

#[test]
fn values_that_would_arrive_changed_are_faults() {
    use TagFaultKind::{ValueCharacter, ValueLength, ValueSpace};
    for (value, fault) in [
        ("a,b=c}", ValueCharacter(',')),
        ("a}", ValueCharacter('}')),
        ("a\r\nb", ValueCharacter('\r')),
        ("a\0", ValueCharacter('\0')),
        ("a\u{85}", ValueCharacter('\u{85}')),
        (" a", ValueSpace),
        ("a\u{a0}", ValueSpace),
        (&"é".repeat(1025), ValueLength(2050)),
    ] {
        assert_eq!(kind("a", value), Some(fault), "{value:?}");
    }
    assert_eq!(kind("a", &"é".repeat(1024)), None);
}

#[test]
fn two_keys_that_are_sent_as_one_are_a_fault() {
    let faults = parse(&[("a-b", "1"), ("a_b", "2")]).unwrap_err();
    assert_eq!(
        faults,
        [TagFault::new("a_b", TagFaultKind::SameAs("a-b".to_owned()))]
    );
}

#[test]
fn all_faults_are_told_at_once_without_the_values() {
    let faults = parse(&[("a b", "secret,"), ("ok", "fine"), ("", "secret ")]).unwrap_err();
    assert_eq!(faults.len(), 4);
    let text = faults
        .iter()
        .map(TagFault::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        text.contains(r#"tag "a b": Pyroscope does not allow ' ' in a key"#),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_text_that_is_not_of_valid_tags_is_not_read() {
    for text in [
        "a", ",", "a=1,", "=1", "a=1,a=2", "a-b=1", "ü=1", "a= 1", "a=}", "__a=1", "a=\n",
    ] {
        assert_eq!(Tags::read(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn tags_are_read_as_they_were_rendered(
        modern: bool,
        pairs in prop::collection::vec(("[a-c_.-]{1,3}", prop_oneof![any::<String>(), "[a-c ={;]{0,4}"]), 0..4),
    ) {
        let keys = if modern { TagKeys::Utf8 } else { TagKeys::Legacy };
        if let Ok(tags) = Tags::with_keys(keys, pairs) {
            let text = tags.render();
            let read = Tags::read(&text);
            prop_assert!(read.as_ref().is_some_and(|read| read.iter().eq(tags.iter())), "{text:?}");
        }
    }

    #[test]
    fn any_text_is_read_as_tags_that_render_to_it_or_not_at_all(text in "[ab=,._ {}-]{0,12}|\\PC*") {
        if let Some(tags) = Tags::read(&text) {
            let again = Tags::read(&tags.render());
            prop_assert_eq!(again, Some(tags));
        }
    }

    #[test]
    fn accepted_tags_arrive_as_they_are(
        modern: bool,
        pairs in prop::collection::vec(("[a-c_.-]{1,3}", prop_oneof![any::<String>(), "[a-c ={;]{0,4}"]), 0..4),
    ) {
        let (keys, dialect) = match modern {
            true => (TagKeys::Utf8, Dialect::Modern),
            false => (TagKeys::Legacy, Dialect::Legacy),
        };
        if let Ok(tags) = Tags::with_keys(keys, pairs) {
            let mut name = Name::parse("app", dialect).unwrap();
            name.apply(&tags);
            let printed = name.to_string();
            let arrived = Name::parse(&printed, dialect).unwrap();
            prop_assert_eq!(arrived.app(), "app");
            prop_assert!(arrived.labels().eq(tags.iter()));
        }
    }
}
