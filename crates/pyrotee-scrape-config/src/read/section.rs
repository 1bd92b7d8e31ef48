//! The keys of one map of the block: their values, and their faults with line and path.

use std::cell::RefCell;

use pyrotee_yaml::{Entry, Fault, Kind, Node, nearest, shown, shown_value};
use secrecy::SecretString;

use crate::Sources;

/// Faults and warnings of the whole block.
pub(super) struct Report<'a> {
    pub(super) sources: &'a dyn Sources,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(sources: &'a dyn Sources) -> Self {
        Self {
            sources,
            faults: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<String>) {
        (self.faults.into_inner(), self.warnings.into_inner())
    }

    pub(super) fn fault(&self, line: usize, key: &str, text: &str) {
        let (key, text) = (key.to_owned(), text.to_owned());
        let fault = Fault { line, key, text };
        let mut faults = self.faults.borrow_mut();
        // Some keys are read twice.
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }

    fn warn(&self, key: &str, text: &str) {
        self.warnings.borrow_mut().push(format!("{key}: {text}"));
    }

    /// A scalar with its variables; `None` if a fault was added.
    fn expand(&self, text: &str, line: usize, key: &str) -> Option<Scalar> {
        match self.sources.expand(text) {
            Ok(expanded) => {
                if expanded.is_bare_variable {
                    let text = "a value of the form `$NAME` is taken as it stands; write ${NAME} to put in a variable";
                    self.warn(key, text);
                }
                Some(Scalar {
                    text: expanded.text,
                    written: text.to_owned(),
                    variables: expanded.variables,
                    line,
                    key: key.to_owned(),
                })
            }
            Err(problems) => {
                for problem in problems {
                    self.fault(line, key, &problem);
                }
                None
            }
        }
    }
}

/// A scalar in which variables are substituted.
pub(super) struct Scalar {
    pub(super) text: String,
    written: String,
    variables: Vec<String>,
    line: usize,
    /// The path of its key.
    key: String,
}

/// The keys of one map.
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    /// The path of the map, as faults show it.
    path: String,
    line: usize,
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// The map at `path`; `None` if the value is no map, which adds a fault.
    pub(super) fn of(node: &'a Node, path: String, report: &'a Report<'a>) -> Option<Self> {
        if !matches!(node.kind, Kind::Map(_) | Kind::Null(_)) {
            let text = "takes keys of its own; indent them below it as `key: value`";
            report.fault(node.line, &path, text);
            return None;
        }
        Some(Self {
            report,
            path,
            line: node.line,
            entries: node.entries(),
        })
    }

    pub(super) fn path(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{}", shown(key)),
        }
    }

    pub(super) fn sources(&self) -> &'a dyn Sources {
        self.report.sources
    }

    /// Adds a fault of `key`, or of the map itself for an empty or absent `key`.
    pub(super) fn fault(&self, key: &str, text: &str) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let line = entry.map_or(self.line, |entry| entry.line);
        self.report.fault(line, &self.path(key), text);
    }

    /// Adds a fault of a value that is no secret. `problem` continues a sentence that begins with the value.
    pub(super) fn fault_of(&self, value: &Scalar, problem: &str) {
        let text = format!("{} {problem}", shown_value(&value.written));
        self.report.fault(value.line, &value.key, &text);
    }

    pub(super) fn warn(&self, key: &str, text: &str) {
        self.report.warn(&self.path(key), text);
    }

    /// Adds a fault for each key that is not in `known`. `refused` has the texts of keys that other programs know.
    pub(super) fn check_keys(&self, known: &[&[&str]], refused: &[(&str, &str)]) {
        let known = known.concat();
        for entry in self.entries {
            let key = entry.key.as_str();
            if known.contains(&key) {
                continue;
            }
            let text = match refused.iter().find(|(name, _)| *name == key) {
                Some((_, text)) => (*text).to_owned(),
                None => match nearest(key, known.iter().copied()) {
                    Some(meant) => format!("unknown key; did you mean `{meant}`?"),
                    None => format!("unknown key; known here: {}", known.join(", ")),
                },
            };
            self.fault(key, &text);
        }
    }

    /// The value of a key; `None` for an absent or empty one.
    fn node(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.value.kind, Kind::Null(_))).then_some(&entry.value)
    }

    /// Whether the key is there and has a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// All keys, in the order of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// The scalar of a key; `None` if the key is absent or a fault was added.
    pub(super) fn scalar(&self, key: &str) -> Option<Scalar> {
        self.scalar_of(self.node(key)?, &self.path(key))
    }

    fn scalar_of(&self, node: &'a Node, path: &str) -> Option<Scalar> {
        let Kind::Text(text) = &node.kind else {
            let text = "takes one value, not a list or map; write `key: value`";
            self.report.fault(node.line, path, text);
            return None;
        };
        self.report.expand(text, node.line, path)
    }

    /// The text of a key that is no secret; `None` if it is absent or empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let text = self.scalar(key)?.text;
        Some(text).filter(|text| !text.is_empty())
    }

    /// The value of a key that is no secret; `None` if the key is absent or a fault was added.
    pub(super) fn parse<T>(
        &self,
        key: &str,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.scalar(key)?;
        parser(&value.text)
            .map_err(|problem| self.fault_of(&value, &problem))
            .ok()
    }

    /// The secret of `key`, or the content of the file that `file_key` names; the inner `None` if neither is given, the
    /// outer `None` if a fault was added. An empty value counts as not given.
    pub(super) fn secret(&self, key: &str, file_key: &str) -> Option<Option<SecretString>> {
        if self.has(key) && self.has(file_key) {
            self.fault(
                file_key,
                &format!("stands beside {key}; keep one of the two"),
            );
            return None;
        }
        if let Some(path) = self.text(file_key) {
            let content = self.sources().file(&path);
            let content = content.map_err(|text| self.fault(file_key, &text));
            return content.ok().map(Some);
        }
        if !self.has(key) {
            return Some(None);
        }
        let value = self.scalar(key)?;
        if value.text.is_empty() {
            self.warn(key, "is empty, so it counts as not given");
            return Some(None);
        }
        if let Some(name) = value.variables.first() {
            self.warn(
                key,
                &format!(
                    "comes from the variable `{name}`, which does not change by reload; use ${{file:PATH}} for a \
                     secret that is rotated"
                ),
            );
        }
        Some(Some(SecretString::from(value.text)))
    }

    /// The map below a key; `None` if the key is absent or a fault was added.
    pub(super) fn section(&self, key: &str) -> Option<Section<'a>> {
        Self::of(self.node(key)?, self.path(key), self.report)
    }

    /// The maps in the list of a key.
    pub(super) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let items = (1..).zip(self.items(key, "`- key: value`"));
        let sections = items.filter_map(|(number, node)| {
            Self::of(node, format!("{}[{number}]", self.path(key)), self.report)
        });
        sections.collect()
    }

    /// The scalars in the list of a key.
    pub(super) fn scalars(&self, key: &str) -> Vec<Scalar> {
        let items = self.items(key, "`[a, b]`").iter();
        items
            .filter_map(|node| self.scalar_of(node, &self.path(key)))
            .collect()
    }

    fn items(&self, key: &str, example: &str) -> &'a [Node] {
        let Some(node) = self.node(key) else {
            return &[];
        };
        node.items().unwrap_or_else(|| {
            self.fault(key, &format!("takes a list; write {example}"));
            &[]
        })
    }
}
