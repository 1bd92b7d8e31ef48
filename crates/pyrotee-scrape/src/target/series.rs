//! The name of the series of a scrape target.

use pyroscope_wire::{Dialect, Name, Tags};

use super::Labels;

/// The value of the query parameter `name`: `APPLICATION{KEY=VALUE,…}` with the labels that do not begin with `__`.
/// Other characters than letters, digits and `_` in a key become `_`, and white space around a value goes, as every
/// Pyroscope removes it.
///
/// # Errors
/// The application or a label that no Pyroscope takes, and what to write instead.
pub(super) fn name(application: &str, labels: &Labels) -> Result<String, String> {
    let pairs = labels
        .iter()
        .filter(|(key, _)| !key.starts_with("__"))
        .map(|(key, value)| (sanitised(key), value.trim()))
        .filter(|(_, value)| !value.is_empty());
    let tags = Tags::parse(pairs.map(|(key, value)| (key, value.to_owned())));
    let tags = tags.map_err(|faults| {
        let texts = faults
            .iter()
            .map(|it| format!("label {:?}: {}", it.key, it.kind));
        texts.collect::<Vec<_>>().join("; ")
    })?;
    // A brace would begin labels, and is not allowed in an application.
    if application.contains('{') {
        return Err(format!(
            "__name__ {application:?} has a brace: write the labels into `labels`"
        ));
    }
    let mut name = Name::parse(application, Dialect::Legacy).map_err(|fault| fault.to_string())?;
    name.apply(&tags);
    Ok(name.to_string())
}

fn sanitised(key: &str) -> String {
    let valid = |it: char| it.is_ascii_alphanumeric() || it == '_';
    key.chars()
        .map(|it| if valid(it) { it } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn labels_become_tags() {
        for (pairs, expected) in [
            (&[][..], "shop.cart{}"),
            (&[("__x__", "1"), ("job", "shop")], "shop.cart{job=shop}"),
            (
                &[("app.kubernetes.io/name", "a b=c{")],
                "shop.cart{app_kubernetes_io_name=a b=c{}",
            ),
            (&[("a-b", "\u{a0} x "), ("empty", " ")], "shop.cart{a_b=x}"),
        ] {
            assert_eq!(name("shop.cart", &labels(pairs)).unwrap(), expected);
        }
    }

    #[test]
    fn what_no_pyroscope_takes_is_a_reason_to_drop() {
        let long = "x".repeat(2049);
        for (application, pairs, part) in [
            ("a", &[("a", "x,y")][..], "label \"a\": ',' cannot be sent"),
            ("a", &[("a", "x}")], "label \"a\": '}' cannot be sent"),
            ("a", &[("a", "x\ny")], "label \"a\": '\\n' cannot be sent"),
            (
                "a",
                &[("a", &long)],
                "label \"a\": the value has 2049 bytes",
            ),
            (
                "a",
                &[("a-b", "1"), ("a.b", "2")],
                "under the same key as \"a_b\"",
            ),
            ("a", &[("-_a", "1")], "label \"__a\": the key is reserved"),
            (
                "a",
                &[("profile_id", "1")],
                "label \"profile_id\": the key is reserved",
            ),
            ("a", &[("", "1")], "the key is empty"),
            ("", &[], "application name is required"),
            ("a b", &[], "invalid application name: a b"),
            ("a{b=c}", &[], "has a brace"),
        ] {
            let reason = name(application, &labels(pairs)).unwrap_err();
            assert!(reason.contains(part), "{pairs:?}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_read_back_as_its_labels(
            application in "[a-zA-Z0-9_.-]{1,8}|[ -~]{0,4}",
            labels in prop::collection::btree_map("_{0,2}[a-z.ü-]{0,3}", "[a-z ={\u{a0}ü]{0,5}|[ -~\n]{0,3}", 0..6),
        ) {
            let Ok(name) = name(&application, &labels) else { return Ok(()) };
            for dialect in [Dialect::Legacy, Dialect::Modern] {
                let read = Name::parse(&name, dialect).unwrap();
                prop_assert_eq!(read.app(), application.trim());
                let sent = labels.iter().filter(|(key, value)| !key.starts_with("__") && !value.trim().is_empty());
                let sent: Labels = sent.map(|(key, value)| (sanitised(key), value.trim().to_owned())).collect();
                let read: Labels = read.labels().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                prop_assert_eq!(read, sent);
            }
        }
    }
}
