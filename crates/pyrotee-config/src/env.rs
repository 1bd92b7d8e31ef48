//! The layer of the environment: `PYROTEE__SECTION__KEY`.
//!
//! Two underscores separate the keys, so that pyrotee ignores the variables that Kubernetes injects for a
//! service called pyrotee (`PYROTEE_SERVICE_HOST`, `PYROTEE_PORT`).

use std::collections::HashMap;

use pyrotee_yaml::Node;

use crate::{
    faults::{Fault, Origin, dotted},
    schema::{self, Shape},
};

pub(crate) const PREFIX: &str = "PYROTEE__";

/// The fault of a variable for a job of pull mode.
const JOBS: &str =
    "is a list, which only the file can have; write it there, with ${VAR} in its values";

/// A variable that sets a key.
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    pub(crate) value: String,
}

/// Finds the key that each variable sets. If the name of a target, tag or header differs from a name in the
/// file in case only, the file's spelling is used, otherwise lower case. An empty variable counts as not set.
pub(crate) fn resolve(
    variables: &HashMap<String, String>,
    root: Option<&Node>,
    faults: &mut Vec<Fault>,
) -> Vec<Variable> {
    let mut ours: Vec<(&String, &str, &String)> = variables
        .iter()
        .filter_map(|(name, value)| {
            let ours = name.get(..PREFIX.len())?.eq_ignore_ascii_case(PREFIX);
            let rest = name.get(PREFIX.len()..)?;
            (ours && !value.is_empty()).then_some((name, rest, value))
        })
        .collect();
    ours.sort();
    let mut found: Vec<Variable> = Vec::new();
    for (name, rest, value) in ours {
        let mut fault = |path: &[String], text: String| {
            let origin = Origin::Environment(name.clone());
            faults.push(Fault {
                origin,
                key: dotted(path),
                text,
            });
        };
        match path(rest, root) {
            Err((path, text)) => fault(&path, text),
            Ok(path) => match found.iter().find(|other| other.path == path) {
                Some(other) => {
                    fault(
                        &path,
                        format!("is also set by {}; keep one of the two", other.name),
                    );
                }
                None => found.push(Variable {
                    name: name.clone(),
                    path,
                    value: value.clone(),
                }),
            },
        }
    }
    found
}

/// The path of keys that a variable's name stands for; as error, the valid start of the path and the problem.
fn path(rest: &str, root: Option<&Node>) -> Result<Vec<String>, (Vec<String>, String)> {
    let mut path = Vec::new();
    let (mut shape, mut node, mut rest) = (&schema::ROOT, root, Some(rest));
    while let Some(left) = rest {
        let (segment, after) = match left.split_once("__") {
            // The key of a tag may hold any number of underscores.
            Some(_) if matches!(shape, Shape::Map(Shape::Text)) => (left, None),
            Some((segment, after)) => (segment, Some(after)),
            None => (left, None),
        };
        rest = after;
        let key = match shape {
            Shape::Section(keys) => {
                let plain = segment.to_ascii_lowercase().replace('_', "-");
                let Some(key) = keys.iter().find(|key| key.name == plain) else {
                    path.push(plain.clone());
                    return Err((path, schema::remedy(&plain, keys)));
                };
                shape = &key.shape;
                plain
            }
            Shape::Map(of) => {
                shape = of;
                chosen(segment, node).map_err(|text| (path.clone(), text))?
            }
            Shape::Text | Shape::Texts => {
                let text = "has no keys below it; end the name of the variable here";
                return Err((path, text.to_owned()));
            }
            Shape::Jobs => return Err((path, JOBS.to_owned())),
        };
        node = node.and_then(|node| node.get(&key));
        path.push(key);
    }
    match shape {
        Shape::Text | Shape::Texts => Ok(path),
        Shape::Section(keys) => {
            let names: Vec<_> = keys.iter().map(|key| key.name).collect();
            Err((
                path,
                format!("is a section; add `__` and one of {}", names.join(", ")),
            ))
        }
        Shape::Jobs => Err((path, JOBS.to_owned())),
        Shape::Map(_) => Err((path, "is a map; add `__` and a name".to_owned())),
    }
}

/// A key of the user's choice, in the file's spelling if the file has the key, else in lower case.
fn chosen(segment: &str, node: Option<&Node>) -> Result<String, String> {
    if segment.is_empty() {
        return Err("a name is missing between the underscores; write one".to_owned());
    }
    let keys = || {
        node.into_iter()
            .flat_map(Node::entries)
            .map(|entry| entry.key.as_str())
    };
    if let Some(same) = keys().find(|key| *key == segment) {
        return Ok(same.to_owned());
    }
    let mut alike = keys().filter(|key| key.eq_ignore_ascii_case(segment));
    match (alike.next(), alike.next()) {
        (None, _) => Ok(segment.to_ascii_lowercase()),
        (Some(one), None) => Ok(one.to_owned()),
        (Some(_), Some(_)) => Err(
            "more than one name of the file differs only in case; write the one that is meant \
                 exactly as the file does"
                .to_owned(),
        ),
    }
}
