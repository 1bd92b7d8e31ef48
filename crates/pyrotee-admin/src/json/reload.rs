//! The JSON of `POST /-/reload`: one type for the relay that writes it and the command that reads it.
//!
//! `docs/status.md` describes every field; a test checks this. A reader must accept unknown fields, because the reader
//! may be older than the relay.

use serde::{Deserialize, Serialize};

use super::status::StaleFileJson;

/// `POST` reads the configuration and the files that it names again, and applies what changed. The response is a
/// [`ReloadReport`], with status 200, or 400 if the configuration is refused.
pub const PATH: &str = "/-/reload";

/// The result of a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    pub result: ReloadResult,
    /// Hash of the configuration in force after the reload, without secrets.
    pub hash: String,
    /// The changed keys, in the order of the configuration; empty unless the result is [`ReloadResult::Changed`].
    pub changes: Vec<KeyChangeJson>,
    /// The changed targets; empty unless the result is [`ReloadResult::Changed`].
    pub targets: Vec<TargetChangeJson>,
    /// Keys that differ from those in force and that a reload cannot change.
    pub restart_required: Vec<String>,
    /// The faults of the configuration; empty unless the result is [`ReloadResult::Refused`].
    pub faults: Vec<String>,
    /// Files that keep their last good content.
    pub stale_files: Vec<StaleFileJson>,
}

/// Whether a reload applied something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadResult {
    Changed,
    /// The configuration in force already has everything that a reload can change.
    #[default]
    Unchanged,
    /// The configuration has faults: the relay keeps the one in force.
    Refused,
}

/// A key of the configuration that a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChangeJson {
    /// Such as `remote-write.targets.central.tags.pod`.
    pub key: String,
    pub kind: Change,
}

/// A target that a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetChangeJson {
    pub name: String,
    pub change: Change,
}

/// How a reload changed a key or a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Added,
    Removed,
    Changed,
    /// A target that was draining is configured again. Never the change of a key.
    Returned,
    /// A word of a later relay; no relay writes it.
    #[serde(other)]
    Other,
}

impl Change {
    /// The word in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Returned => "returned",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::json::fields;

    const DOCUMENTATION: &str = include_str!("../../../../docs/status.md");

    /// The section of the documentation about a reload.
    fn documentation() -> &'static str {
        let (_, section) = DOCUMENTATION.split_once("\n## Reload\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        section
    }

    #[test]
    fn the_documentation_lists_every_field_and_no_other() {
        let report = ReloadReport {
            result: ReloadResult::Refused,
            hash: String::new(),
            changes: vec![KeyChangeJson {
                key: String::new(),
                kind: Change::Added,
            }],
            targets: vec![TargetChangeJson {
                name: String::new(),
                change: Change::Added,
            }],
            restart_required: vec![String::new()],
            faults: vec![String::new()],
            stale_files: vec![StaleFileJson::default()],
        };
        let shown = fields::of(&serde_json::to_value(report).unwrap(), None);
        let documented = fields::documented(documentation()).map(str::to_owned);
        assert_eq!(documented.collect::<BTreeSet<_>>(), shown);
    }

    #[test]
    fn the_documentation_names_every_word() {
        let words = [Change::Added, Change::Removed, Change::Changed].map(Change::as_str);
        for word in ["unchanged", "refused", "returned"].iter().chain(&words) {
            assert!(documentation().contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn the_documented_example_is_such_a_report() {
        let (_, rest) = documentation().split_once("```json\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let report: ReloadReport = serde_json::from_str(example).unwrap();
        let example: Value = serde_json::from_str(example).unwrap();
        assert_eq!(serde_json::to_value(report).unwrap(), example);
    }

    #[test]
    fn a_word_of_a_later_relay_is_read() {
        for change in [
            Change::Added,
            Change::Removed,
            Change::Changed,
            Change::Returned,
        ] {
            assert_eq!(serde_json::to_value(change).unwrap(), change.as_str());
        }
        let later = json!({ "name": "a", "change": "renamed", "to": "b" });
        let change: TargetChangeJson = serde_json::from_value(later).unwrap();
        assert_eq!(change.change, Change::Other);
    }
}
