//! Documents with groups of scrape targets: JSON or YAML.

use pyroscope_wire::scrape::{self, Group, parse_groups};
use pyrotee_yaml::{Kind, Node, parse};
use serde_json::Value;

/// Longest document, in bytes: 20,000 addresses with labels.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Yaml,
}

/// The groups of a document. Each has the label `meta`, which says where the document was.
///
/// # Errors
/// The first fault of the document, which is then not used.
pub(super) fn groups(
    bytes: &[u8],
    syntax: Syntax,
    meta: (&str, &str),
) -> Result<Vec<Group>, String> {
    let groups = match syntax {
        Syntax::Json => parse_groups(bytes),
        Syntax::Yaml => scrape::groups(yaml(bytes)?),
    };
    let mut groups = groups.map_err(|fault| fault.to_string())?;
    for group in &mut groups {
        let (name, value) = meta;
        group.labels.insert(name.to_owned(), value.to_owned());
    }
    Ok(groups)
}

/// A document of YAML as JSON. All scalars are texts.
fn yaml(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut faults = Vec::new();
    let root = parse(text, &mut faults).map_err(|fault| fault.to_string())?;
    match faults.first() {
        Some(fault) => Err(fault.to_string()),
        None => Ok(root.map_or(Value::Null, value)),
    }
}

/// The depth of a tree is limited by its parser.
fn value(node: Node) -> Value {
    match node.kind {
        Kind::Null(_) => Value::Null,
        Kind::Text(text) => Value::String(text),
        Kind::List(items) => items.into_iter().map(value).collect(),
        Kind::Map(entries) => {
            let entries = entries.into_iter();
            entries.map(|it| (it.key, value(it.value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: (&str, &str) = ("__meta_filepath", "x");

    #[test]
    fn json_and_yaml_give_the_same_groups() {
        let json = r#"[{"application":"shop","targets":["a:1","b"],"labels":{"env":"1"},"spy-name":null}]"#;
        let yaml = "- application: shop\n  targets: [a:1, b]\n  labels: {env: 1}\n  spy-name:\n";
        let json = groups(json.as_bytes(), Syntax::Json, META).unwrap();
        assert_eq!(json, groups(yaml.as_bytes(), Syntax::Yaml, META).unwrap());
        assert_eq!(json[0].targets, ["a:1", "b"]);
        assert_eq!(json[0].labels["env"], "1");
        assert_eq!(json[0].labels["__meta_filepath"], "x");
        for empty in ["", "---", "[]", "null"] {
            assert_eq!(groups(empty.as_bytes(), Syntax::Yaml, META), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_fault_is_that_of_the_document() {
        for (text, syntax, part) in [
            ("[", Syntax::Json, "it is not JSON"),
            ("- a: [", Syntax::Yaml, "not valid YAML"),
            ("- application: a\n  application: b", Syntax::Yaml, "line 2"),
            (
                "- targets: [a]",
                Syntax::Yaml,
                "group 1: application is missing",
            ),
            (
                "- application: a\n  source: b",
                Syntax::Yaml,
                "source is no key",
            ),
            ("a: b", Syntax::Yaml, "it is no list of groups"),
        ] {
            let fault = groups(text.as_bytes(), syntax, META).unwrap_err();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        assert!(groups(b"\xff", Syntax::Yaml, META).is_err());
    }
}
