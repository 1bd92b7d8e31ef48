//! Reads the file's YAML into a small tree of texts with line numbers.
//!
//! The tree is built from saphyr's events. saphyr's own trees let the last of two equal keys win and copy
//! the nodes of aliases without a limit. Depth and number of nodes are limited here (aliases counted in
//! full); the caller limits the size of the file.

mod builder;

use std::sync::Arc;

use saphyr_parser::{Event, Parser};

use self::builder::Builder;
use super::faults::Fault;

/// A value and the line on which it begins.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// The kind of a value.
#[derive(Clone)]
pub(super) enum Kind {
    /// An empty value, `~` or `null`, without quotes. Its text is kept for places where all text is data.
    Null(String),
    Text(String),
    Map(Vec<Entry>),
    /// A list, whose content is not kept, because no key takes a list.
    List,
}

/// A key of a map, with the line that it is on.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

/// Reads a document. `Err` is a fault after which the rest of the file cannot be read; all other faults are
/// added to `faults`.
pub(super) fn parse(
    text: &str,
    file: &Arc<str>,
    faults: &mut Vec<Fault>,
) -> Result<Option<Node>, Fault> {
    let mut builder = Builder::new(file, faults);
    let mut parser = Parser::new_from_str(text);
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
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// Removes all entries of a map except those of this key.
    pub(super) fn retain(&mut self, key: &str) {
        if let Kind::Map(entries) = &mut self.kind {
            entries.retain(|entry| entry.key == key);
        }
    }

    /// The entries of a map; empty for every other kind.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The number of nodes, and the depth of maps and lists.
    fn measure(&self) -> (usize, usize) {
        match &self.kind {
            Kind::Null(_) | Kind::Text(_) => (1, 0),
            Kind::List => (1, 1),
            Kind::Map(entries) => {
                let inner = entries.iter().map(|entry| entry.value.measure());
                let (nodes, depth) =
                    inner.fold((0, 0), |(n, d), (nodes, depth)| (n + nodes, d.max(depth)));
                (1 + nodes, 1 + depth)
            }
        }
    }
}
