//! Labels of scrape targets: what the name of a profile can carry.

use std::collections::BTreeMap;

use pyroscope_wire::tags::TagFaultKind;
use pyroscope_wire::{Dialect, Tags};

use super::section::Section;

/// The labels of a group. Labels that begin with `__` are for the scraper and stay out of the name of a profile.
pub(super) fn labels(group: &Section<'_>) -> BTreeMap<String, String> {
    let Some(section) = group.section("labels") else {
        return BTreeMap::new();
    };
    let mut labels = BTreeMap::new();
    for name in section.keys() {
        let problem = name_problem(name);
        if let Some(problem) = &problem {
            section.fault(name, problem);
        }
        let Some(value) = section.scalar(name) else {
            continue;
        };
        if let Some(problem) = value_problem(&value.text).filter(|_| !name.starts_with("__")) {
            section.fault(name, &problem);
        }
        labels.insert(name.to_owned(), value.text);
    }
    labels
}

/// Why a name cannot be that of a label: the grammar of names that every Pyroscope takes, and reserved names.
fn name_problem(name: &str) -> Option<String> {
    if Dialect::Legacy.check_key(name).is_err() {
        return Some(
            "a label's name has letters, digits and `_`, which every Pyroscope takes; rename it"
                .to_owned(),
        );
    }
    if name.starts_with("__") {
        return None;
    }
    tag_problem(name, "")
        .map(|_| "the name is reserved by Pyroscope; choose another one".to_owned())
}

/// Why a text cannot be the value of a label.
pub(super) fn value_problem(value: &str) -> Option<String> {
    let problem = tag_problem("label", value)?;
    Some(pyrotee_yaml::with_semicolon(&problem.to_string()))
}

fn tag_problem(name: &str, value: &str) -> Option<TagFaultKind> {
    let faults = Tags::parse([(name.to_owned(), value.to_owned())]).err()?;
    faults.into_iter().next().map(|fault| fault.kind)
}
