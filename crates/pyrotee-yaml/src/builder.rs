//! Builds the tree from events: keys, anchors, and the limits of depth and number of nodes.

use std::collections::{HashMap, hash_map};

use saphyr_parser::{Event, ScalarStyle, Tag};

use crate::{Entry, Fault, Kind, Node, dotted};

/// Limit of nesting: deeper than any valid configuration, and shallow enough for recursion.
const MAX_DEPTH: usize = 32;
/// Limit of nodes: far more than 1 MiB of a sensible configuration has.
const MAX_NODES: usize = 100_000;

/// A document that is not complete yet.
pub(super) struct Builder<'a> {
    faults: &'a mut Vec<Fault>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// A map or list that is not closed yet.
struct Frame {
    line: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    Map(OpenMap),
    List(Vec<Node>),
}

impl Frame {
    fn map(&self) -> Option<&OpenMap> {
        match &self.content {
            Content::Map(map) => Some(map),
            Content::List(_) => None,
        }
    }
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    lines: HashMap<String, usize>,
    key: Option<OpenKey>,
}

struct OpenKey {
    text: String,
    line: usize,
    /// `false` if the key has a fault; its value is then skipped.
    keep: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(faults: &'a mut Vec<Fault>) -> Self {
        let (frames, anchors) = (Vec::new(), HashMap::new());
        Self {
            faults,
            frames,
            anchors,
            nodes: 0,
            root: None,
        }
    }

    pub(super) fn into_root(self) -> Option<Node> {
        self.root
    }

    /// A fault of the key that is currently read.
    pub(super) fn fault(&self, line: usize, text: String) -> Fault {
        let path: Vec<&str> = self
            .frames
            .iter()
            .filter_map(|frame| frame.map()?.key.as_ref())
            .map(|key| key.text.as_str())
            // A key that is no word.
            .filter(|text| !text.is_empty())
            .collect();
        Fault {
            line,
            key: dotted(&path),
            text,
        }
    }

    /// Adds a fault after which reading continues.
    pub(super) fn add_fault(&mut self, line: usize, text: &str) {
        let fault = self.fault(line, text.to_owned());
        self.faults.push(fault);
    }

    /// Processes the next event. `Err` means that reading cannot continue.
    pub(super) fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), line);
                let plain = style == ScalarStyle::Plain && tag.is_none();
                self.count(1, line)?;
                let kind = match text.as_ref() {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Kind::Null(text.into_owned()),
                    "<<" if plain && self.expects_key() => {
                        self.take_merge_key(line);
                        return Ok(());
                    }
                    _ => Kind::Text(text.into_owned()),
                };
                self.add(Node { line, kind }, anchor);
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), line);
                self.open(Frame {
                    line,
                    anchor,
                    content: Content::Map(OpenMap::default()),
                })?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), line);
                self.open(Frame {
                    line,
                    anchor,
                    content: Content::List(Vec::new()),
                })?;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some(frame) = self.frames.pop() {
                    let kind = match frame.content {
                        Content::Map(map) => Kind::Map(map.entries),
                        Content::List(items) => Kind::List(items),
                    };
                    self.add(
                        Node {
                            line: frame.line,
                            kind,
                        },
                        frame.anchor,
                    );
                }
            }
            Event::Alias(anchor) => self.take_alias(anchor, line)?,
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Refuses YAML tags, because their meaning would be lost, except `!!str` and other core tags, which change nothing
    /// because every scalar is text.
    fn check_tag(&mut self, tag: Option<&Tag>, line: usize) {
        let core = ["str", "int", "float", "bool", "map", "seq"];
        if tag.is_some_and(|t| !(t.is_yaml_core_schema() && core.contains(&t.suffix.as_str()))) {
            let text = "has a YAML tag that means nothing here; remove the word after `!`";
            self.add_fault(line, text);
        }
    }

    fn open(&mut self, frame: Frame) -> Result<(), Fault> {
        self.count(1, frame.line)?;
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.too_deep(frame.line));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn too_deep(&self, line: usize) -> Fault {
        let text = format!("is nested deeper than {MAX_DEPTH} levels; no key is that deep");
        Fault {
            key: String::new(),
            ..self.fault(line, text)
        }
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let text =
                format!("has more than {MAX_NODES} values, aliases counted; make it smaller");
            return Err(Fault {
                key: String::new(),
                ..self.fault(line, text)
            });
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        self.frames
            .last()
            .and_then(Frame::map)
            .is_some_and(|map| map.key.is_none())
    }

    fn take_merge_key(&mut self, line: usize) {
        let text = "`<<` does not merge maps here; write the keys out";
        self.add_fault(line, text);
        if let Some(Content::Map(map)) = self.frames.last_mut().map(|frame| &mut frame.content) {
            map.key = Some(OpenKey {
                text: "<<".to_owned(),
                line,
                keep: false,
            });
        }
    }

    fn take_alias(&mut self, anchor: usize, line: usize) -> Result<(), Fault> {
        let Some(node) = self.anchors.get(&anchor) else {
            let text = "an alias stands inside of what it names; write the value out";
            return Err(self.fault(line, text.to_owned()));
        };
        // No node in `anchors` is deeper than the limit, so measuring it is safe.
        let (nodes, depth) = node.measure();
        let node = node.clone();
        self.count(nodes, line)?;
        if self.frames.len() + depth > MAX_DEPTH {
            return Err(self.too_deep(line));
        }
        self.add(node, 0);
        Ok(())
    }

    /// Inserts a complete value into the tree: as a key, as the value of a key, as an item, or as the root.
    fn add(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return;
        };
        let map = match &mut frame.content {
            Content::Map(map) => map,
            Content::List(items) => {
                items.push(node);
                return;
            }
        };
        if let Some(key) = map.key.take() {
            if key.keep {
                map.entries.push(Entry {
                    key: key.text,
                    line: key.line,
                    value: node,
                });
            }
            return;
        }
        let line = node.line;
        let (text, problem) = match node.kind {
            Kind::Text(text) | Kind::Null(text) => match map.lines.entry(text.clone()) {
                hash_map::Entry::Vacant(entry) => {
                    entry.insert(line);
                    (text, None)
                }
                hash_map::Entry::Occupied(first) => {
                    let first = first.get();
                    (
                        text,
                        Some(format!("is already on line {first}; keep one of the two")),
                    )
                }
            },
            Kind::Map(_) | Kind::List(_) => (
                String::new(),
                Some("a key must be one word; it cannot be a list or map".into()),
            ),
        };
        map.key = Some(OpenKey {
            text,
            line,
            keep: problem.is_none(),
        });
        if let Some(problem) = problem {
            self.add_fault(line, &problem);
        }
    }
}
