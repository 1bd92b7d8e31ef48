//! Warnings of variables and flags: of a name with one underscore where two are needed (`PYROTEE_MEMORY_LIMIT`), and of
//! `${…}` in a value, which is expanded in the file alone.

use std::collections::HashMap;

use crate::{
    env::PREFIX,
    expand::has_reference,
    schema::{self, Shape},
    sources::Flags,
};

const ALMOST_PREFIX: &str = "PYROTEE_";

/// Variables of pyrotee itself whose names look like a key.
const OWN: [&str; 2] = ["PYROTEE_ADMIN", "PYROTEE_ADMIN_TOKEN"];

/// The warnings of variables and flags, without their values: of names that probably stand for a key, and of `${…}` in a
/// value.
pub(crate) fn warnings(variables: &HashMap<String, String>, flags: &Flags) -> Vec<String> {
    let mut names: Vec<_> = variables.iter().collect();
    names.sort();
    let mut warnings = Vec::new();
    for (name, value) in names {
        if let Some(meant) = meant(name) {
            warnings.push(format!(
                "environment {name}: sets no key; did you mean {meant} (two underscores between the keys)?"
            ));
        }
        if is_override(name) && has_reference(value) {
            warnings.push(unexpanded(&format!("environment {name}")));
        }
    }
    let flags = flags.given().filter(|(_, _, value)| has_reference(value));
    warnings.extend(flags.map(|(flag, _, _)| unexpanded(&format!("flag {flag}"))));
    warnings
}

fn unexpanded(source: &str) -> String {
    format!(
        "{source}: `${{…}}` is not expanded here and is taken as it stands; write the value itself, or set the key in \
         the file"
    )
}

/// Whether a variable sets a key.
fn is_override(name: &str) -> bool {
    let start = name.get(..PREFIX.len());
    start.is_some_and(|it| it.eq_ignore_ascii_case(PREFIX))
}

/// The name of the variable that sets the key which `name` seems to stand for.
fn meant(name: &str) -> Option<String> {
    let is_almost = name.get(..ALMOST_PREFIX.len())?;
    if is_override(name) || !is_almost.eq_ignore_ascii_case(ALMOST_PREFIX) || OWN.contains(&name) {
        return None;
    }
    let words = name.get(ALMOST_PREFIX.len()..)?;
    let words = words
        .to_ascii_lowercase()
        .replace("__", "-")
        .replace('_', "-");
    let path = find(&words, &schema::ROOT)?;
    let keys: Vec<_> = path
        .iter()
        .map(|key| key.to_ascii_uppercase().replace('-', "_"))
        .collect();
    Some(format!("{PREFIX}{}", keys.join("__")))
}

/// The path of keys below `shape` that joined by `-` is `words`; `None` if there is no such key.
fn find<'t>(words: &'t str, shape: &Shape) -> Option<Vec<&'t str>> {
    // Where the first key may end: before each `-`, and at the end.
    let mut ends = words
        .match_indices('-')
        .map(|(at, _)| at)
        .chain([words.len()]);
    ends.find_map(|end| {
        let (key, rest) = words.split_at_checked(end)?;
        let below = match shape {
            Shape::Text | Shape::Texts | Shape::Jobs => return None,
            Shape::Section(keys) => &keys.iter().find(|it| it.name == key)?.shape,
            Shape::Map(of) if !key.is_empty() => of,
            Shape::Map(_) => return None,
        };
        match (rest.strip_prefix('-'), below) {
            (None, Shape::Text | Shape::Texts) => Some(vec![key]),
            (Some(rest), below) => {
                let mut path = vec![key];
                path.extend(find(rest, below)?);
                Some(path)
            }
            (None, _) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_underscore_too_few_is_recognised_at_every_depth() {
        for (name, expected) in [
            ("PYROTEE_MEMORY_LIMIT", "PYROTEE__MEMORY_LIMIT"),
            ("pyrotee_listen", "PYROTEE__LISTEN"),
            ("PYROTEE_UPSTREAM_ADDRESS", "PYROTEE__UPSTREAM__ADDRESS"),
            ("PYROTEE_SPOOL__MAX_BYTES", "PYROTEE__SPOOL__MAX_BYTES"),
            (
                "PYROTEE_REMOTE_WRITE_TARGETS_MY_CLUSTER_AUTH_TOKEN",
                "PYROTEE__REMOTE_WRITE__TARGETS__MY_CLUSTER__AUTH_TOKEN",
            ),
            (
                "PYROTEE_REMOTE_WRITE_TARGETS_A_TAGS_POD",
                "PYROTEE__REMOTE_WRITE__TARGETS__A__TAGS__POD",
            ),
        ] {
            assert_eq!(meant(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn every_key_without_a_map_is_recognised() {
        fn paths(keys: &[schema::Key], path: &str, found: &mut Vec<String>) {
            for key in keys {
                let path = format!("{path}_{}", key.name.to_ascii_uppercase().replace('-', "_"));
                match &key.shape {
                    Shape::Text | Shape::Texts => found.push(path),
                    Shape::Section(keys) => paths(keys, &path, found),
                    Shape::Map(_) | Shape::Jobs => {}
                }
            }
        }
        let Shape::Section(keys) = &schema::ROOT else {
            panic!("the root is a section");
        };
        let mut found = Vec::new();
        paths(keys, "PYROTEE", &mut found);
        assert!(found.len() > 15, "{found:?}");
        for name in found {
            let is_own = OWN.contains(&name.as_str());
            assert_eq!(meant(&name).is_none(), is_own, "{name}");
        }
    }

    #[test]
    fn own_variables_and_service_links_are_not_meant_as_keys() {
        for name in [
            "PYROTEE_CONFIG",
            "PYROTEE_ADMIN",
            "PYROTEE_ADMIN_TOKEN",
            "PYROTEE_NIGHTLY",
            "PYROTEE_SERVICE_HOST",
            "PYROTEE_ADMIN_SERVICE_HOST",
            "PYROTEE_PORT_4040_TCP",
            "PYROTEE_SPOOL",
            "PYROTEE__LISTEN",
            "PYROTEE_",
            "PYROTEÉ",
            "LISTEN",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
