//! Groups of scrape targets: an entry of `static-configs`, of a file of `file-sd-configs`, or of a response to
//! `http-sd-configs`.

use std::collections::BTreeMap;

use serde_json::Value;

/// Addresses of one application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Name of the application, `[A-Za-z0-9_.-]+`.
    pub application: String,
    /// Name of the profiler, such as `gospy`; `None`: `gospy`.
    pub spy_name: Option<String>,
    /// Addresses, `host:port` or `host`.
    pub targets: Vec<String>,
    /// Labels of all targets of the group.
    pub labels: BTreeMap<String, String>,
}

/// Why a list of groups cannot be used. `Display` names the group, from 1, and the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupFault {
    #[error("it is not JSON")]
    NotJson,
    #[error("it is no list of groups")]
    NoList,
    #[error("group {group}: {key} is missing")]
    Missing { group: usize, key: &'static str },
    #[error("group {group}: {key} {problem}")]
    Value {
        group: usize,
        key: String,
        problem: &'static str,
    },
    #[error(
        "group {group}: {key} is no key of a group: it has application, spy-name, targets and labels"
    )]
    UnknownKey { group: usize, key: String },
}

impl Group {
    /// Whether `application` can be the name of an application.
    pub fn is_valid_application(application: &str) -> bool {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        !application.is_empty() && application.bytes().all(valid)
    }
}

/// The groups of a JSON document.
///
/// # Errors
///
/// The document is no JSON, or as [`groups`].
pub fn parse_groups(json: &[u8]) -> Result<Vec<Group>, GroupFault> {
    groups(serde_json::from_slice(json).map_err(|_| GroupFault::NotJson)?)
}

/// The groups of a document that was read: a list. `null` is no group.
///
/// # Errors
///
/// The first fault: the whole document is then not used.
pub fn groups(document: Value) -> Result<Vec<Group>, GroupFault> {
    match document {
        Value::Null => Ok(Vec::new()),
        Value::Array(groups) => {
            let groups = groups.into_iter().enumerate();
            groups
                .map(|(before, value)| group(before + 1, value))
                .collect()
        }
        _ => Err(GroupFault::NoList),
    }
}

fn group(number: usize, value: Value) -> Result<Group, GroupFault> {
    let Value::Object(object) = value else {
        return Err(GroupFault::NoList);
    };
    let fault = |key: &str, problem| GroupFault::Value {
        group: number,
        key: key.to_owned(),
        problem,
    };
    let mut group = Group::default();
    for (key, value) in object {
        match (key.as_str(), value) {
            ("application", Value::String(text)) => group.application = text,
            ("spy-name", Value::String(text)) => {
                group.spy_name = Some(text).filter(|it| !it.is_empty())
            }
            ("targets", Value::Array(targets)) => {
                for target in targets {
                    let Value::String(target) = target else {
                        return Err(fault("targets", "takes texts"));
                    };
                    group.targets.push(target);
                }
            }
            ("labels", Value::Object(labels)) => {
                for (name, value) in labels {
                    let Value::String(value) = value else {
                        return Err(fault("labels", "takes texts"));
                    };
                    group.labels.insert(name, value);
                }
            }
            (_, Value::Null) => {}
            ("application" | "spy-name", _) => return Err(fault(&key, "takes a text")),
            ("targets", _) => return Err(fault(&key, "takes a list of addresses")),
            ("labels", _) => return Err(fault(&key, "takes names and values")),
            _ => return Err(GroupFault::UnknownKey { group: number, key }),
        }
    }
    if group.application.is_empty() {
        return Err(GroupFault::Missing {
            group: number,
            key: "application",
        });
    }
    if !Group::is_valid_application(&group.application) {
        return Err(fault(
            "application",
            "has other characters than letters, digits, '_', '.' and '-'",
        ));
    }
    Ok(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_and_anything_else_is_a_fault() {
        let json = br#"[{"application":"shop.cart","targets":["a:1","b"],"labels":{"env":"prod"},"spy-name":""}]"#;
        let groups = parse_groups(json).unwrap();
        assert_eq!(groups[0].application, "shop.cart");
        assert_eq!(groups[0].targets, ["a:1", "b"]);
        assert_eq!(groups[0].labels["env"], "prod");
        assert_eq!(groups[0].spy_name, None);
        assert_eq!(parse_groups(b"null"), Ok(Vec::new()));
        for (json, text) in [
            ("{", "it is not JSON"),
            ("{}", "it is no list of groups"),
            ("[1]", "it is no list of groups"),
            (
                r#"[{"targets":["a:1"]}]"#,
                "group 1: application is missing",
            ),
            (
                r#"[{"application":"a b"}]"#,
                "group 1: application has other characters",
            ),
            (
                r#"[{"application":"a","targets":"b"}]"#,
                "group 1: targets takes a list",
            ),
            (
                r#"[{"application":"a","targets":[1]}]"#,
                "group 1: targets takes texts",
            ),
            (
                r#"[{"application":"a","labels":{"a":1}}]"#,
                "group 1: labels takes texts",
            ),
            (
                r#"[{"application":"a"},{"source":"x"}]"#,
                "group 2: source is no key",
            ),
        ] {
            let text_of_fault = parse_groups(json.as_bytes()).unwrap_err().to_string();
            assert!(text_of_fault.starts_with(text), "{json}: {text_of_fault}");
        }
    }
}
