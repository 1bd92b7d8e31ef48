//! The file's YAML as a small tree of texts with line numbers.
//!
//! Works on saphyr's events, because its ready-made trees let the last of two equal keys win and
//! copy what an alias names without a limit. Bounded: size is the caller's business, depth and
//! number of nodes (aliases counted in full) are limited here.

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

/// What a value is.
#[derive(Clone)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`, without quotes; with its text, for places where all text is data.
    Null(String),
    Text(String),
    Map(Vec<Entry>),
    /// No key takes a list, so what is in it is not kept.
    List,
}

/// A key of a map, with the line that it is on.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

/// Reads a document. `Err` means that there is no telling what the file says; faults with which
/// the rest can still be judged are only added to `faults`.
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
    /// The value of a key, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The entries of a map; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Number of nodes, and levels of maps and lists.
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
