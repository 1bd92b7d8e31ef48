//! The tree of a document, and its parser.
//!
//! The tree is built from saphyr's events. saphyr's own trees let the last of two equal keys win and copy
//! the nodes of aliases without a limit.

use std::fmt;

use saphyr_parser::{Event, Parser};

use crate::{Fault, builder::Builder};

/// A value and the line on which it begins.
#[derive(Clone)]
pub struct Node {
    pub line: usize,
    pub kind: Kind,
}

/// The kind of a value.
#[derive(Clone)]
pub enum Kind {
    /// An empty value, `~` or `null`, without quotes. Its text is kept for places where all text is data.
    Null(String),
    Text(String),
    Map(Vec<Entry>),
    List(Vec<Node>),
}

/// A key of a map, with the line that it is on.
#[derive(Clone)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    pub value: Node,
}

/// Reads a document. `Err` is a fault after which the rest of the file cannot be read; all other faults are
/// added to `faults`. `None` is a document without a value. A byte order mark is skipped.
///
/// # Errors
/// The text is no YAML, is nested too deeply, has too many values, or an alias that names its own surroundings.
pub fn parse(text: &str, faults: &mut Vec<Fault>) -> Result<Option<Node>, Fault> {
    let mut builder = Builder::new(faults);
    let mut parser = Parser::new_from_str(text.trim_start_matches('\u{feff}'));
    let mut documents = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let line = error.marker().line();
            builder.fault(
                line,
                format!("not valid YAML: {}; correct it", error.info()),
            )
        })?;
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                let text = "a second document begins here; keep one document in the file";
                builder.add_fault(span.start.line(), text);
                break;
            }
        }
        builder.take(event, span.start.line())?;
    }
    Ok(builder.into_root())
}

impl Node {
    /// The value of a key; `None` if this node is not a map or lacks the key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// Removes all entries of a map except those of this key.
    pub fn retain(&mut self, key: &str) {
        if let Kind::Map(entries) = &mut self.kind {
            entries.retain(|entry| entry.key == key);
        }
    }

    /// The entries of a map; empty for every other kind.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; `None` for every other kind.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The number of nodes, and the depth of maps and lists.
    pub(crate) fn measure(&self) -> (usize, usize) {
        let inner = |(nodes, depth): (usize, usize), node: &Self| {
            let (more, deep) = node.measure();
            (nodes + more, depth.max(deep + 1))
        };
        match &self.kind {
            Kind::Null(_) | Kind::Text(_) => (1, 0),
            Kind::List(items) => items.iter().fold((1, 1), inner),
            Kind::Map(entries) => entries.iter().map(|it| &it.value).fold((1, 1), inner),
        }
    }
}

/// Shows line and kind alone: a value may be a secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line;
        write!(f, "{:?} on line {line}", self.kind)
    }
}

/// Shows the kind alone: a value may be a secret.
impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null(_) => "null",
            Self::Text(_) => "text",
            Self::Map(_) => "map",
            Self::List(_) => "list",
        })
    }
}

/// Shows the line alone: with a missing space, a secret becomes part of a key.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry on line {}", self.line)
    }
}
