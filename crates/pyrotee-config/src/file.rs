//! The layer of the file: checks its text against the schema and substitutes variables and files.

use std::{collections::HashMap, sync::Arc};

use figment::value::{Dict, Empty, Tag, Value};
use pyrotee_files::Files;
use pyrotee_yaml::{Kind, Node};

use crate::{
    expand::{self, Dollars},
    faults::{Fault, Origin, dotted},
    pyroscope,
    schema::{self, Key, Shape},
};

/// The values of a file for figment, and the facts about each key that figment does not keep.
pub(crate) struct File {
    pub(crate) dict: Dict,
    pub(crate) notes: Notes,
    /// Every value, valid or not: the layer of the environment looks up names of targets, tags and headers here, and the
    /// jobs of pull mode are read from here.
    pub(crate) root: Option<Node>,
}

/// Where each key of the file was written, by path.
#[derive(Default)]
pub(crate) struct Notes(HashMap<Vec<String>, Note>);

/// Facts about one key of the file.
pub(crate) struct Note {
    pub(crate) origin: Origin,
    /// Position among all keys of the file. figment loses it, because it sorts maps by name.
    pub(crate) rank: usize,
    /// The text before substitution; `None` if substitution changed nothing.
    pub(crate) written: Option<String>,
    /// The variables whose values are in the value.
    pub(crate) variables: Vec<String>,
    /// The value is a `$NAME` that Pyroscope 0.37 would have substituted.
    pub(crate) bare_variable: bool,
}

impl Notes {
    pub(crate) fn get(&self, path: &[String]) -> Option<&Note> {
        self.0.get(path)
    }

    /// Paths of the values that look like a variable but are not substituted, in the order of the file.
    pub(crate) fn bare_variables(&self) -> Vec<&[String]> {
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter(|(_, note)| note.bare_variable)
            .collect();
        found.sort_by_key(|(_, note)| note.rank);
        found.into_iter().map(|(path, _)| path.as_slice()).collect()
    }
}

/// Parses and checks the text of the file called `name`; `only`: only the value of this key. `Err` means that the rest of
/// the configuration cannot be checked.
pub(crate) fn parse(
    name: Arc<str>,
    text: &str,
    only: Option<&str>,
    variables: &HashMap<String, String>,
    files: &Files<'_>,
    faults: &mut Vec<Fault>,
) -> Result<File, Fault> {
    let of_file = |fault| Fault::of_file(&name, fault);
    let mut found = Vec::new();
    let root = pyrotee_yaml::parse(text, &mut found);
    faults.extend(found.into_iter().map(of_file));
    let mut root = root.map_err(of_file)?;
    if let (Some(key), Some(root)) = (only, &mut root) {
        root.retain(key);
    }
    let mut checker = Checker {
        file: name,
        variables,
        files,
        faults,
        notes: Notes::default(),
        is_of_pyroscope: false,
    };
    let dict = match &root {
        None => Dict::new(),
        Some(node) => checker.root(node),
    };
    Ok(File {
        dict,
        notes: checker.notes,
        root,
    })
}

struct Checker<'a, 'f> {
    file: Arc<str>,
    variables: &'a HashMap<String, String>,
    files: &'a Files<'f>,
    faults: &'a mut Vec<Fault>,
    notes: Notes,
    /// One fault was added for all keys of Pyroscope's own at the top level.
    is_of_pyroscope: bool,
}

/// A placeholder for a value with a fault, so that the key does not count as absent.
fn faulty() -> Value {
    Value::Empty(Tag::Default, Empty::Unit)
}

impl Checker<'_, '_> {
    fn root(&mut self, node: &Node) -> Dict {
        if let Some((line, text)) = pyroscope::fault(node) {
            self.fault(line, &[], text);
            self.is_of_pyroscope = true;
        }
        let value = self.value(node, &schema::ROOT, &mut Vec::new(), false);
        value.and_then(Value::into_dict).unwrap_or_default()
    }

    fn fault(&mut self, line: usize, path: &[String], text: String) {
        let origin = Origin::File(Arc::clone(&self.file), Some(line));
        self.faults.push(Fault {
            origin,
            key: dotted(path),
            text,
        });
    }

    /// Turns a node into a figment value; `None` means that the key counts as absent.
    fn value(
        &mut self,
        node: &Node,
        shape: &Shape,
        path: &mut Vec<String>,
        chosen: bool,
    ) -> Option<Value> {
        match (shape, &node.kind) {
            // Read from the tree, see `jobs`.
            (Shape::Jobs, _) => None,
            (Shape::Texts, Kind::List(items)) => Some(self.texts(items, path)),
            (Shape::Texts, Kind::Null(_)) => None,
            (Shape::Texts, Kind::Map(_)) => {
                let text = "takes a list; write `key: [a, b]`";
                self.fault(node.line, path, text.to_owned());
                Some(faulty())
            }
            (Shape::Text | Shape::Texts, Kind::Text(text)) => {
                Some(self.text(text, node.line, path))
            }
            // Under a key of the user's choice all text is data: the tag `answer: null` has the value "null".
            (Shape::Text, Kind::Null(text)) if chosen => Some(Value::from(text.clone())),
            // An address is required, so a null address is reported as empty.
            (Shape::Text, Kind::Null(_)) => path
                .last()
                .filter(|key| *key == "address")
                .map(|_| Value::from("")),
            (Shape::Text, Kind::Map(_) | Kind::List(_)) => {
                let text = "takes one value, not a list or map; write `key: value`";
                self.fault(node.line, path, text.to_owned());
                Some(faulty())
            }
            (_, Kind::Null(_)) => Some(Value::from(Dict::new())),
            (_, Kind::Text(_) | Kind::List(_)) => {
                let text = "takes keys of its own; indent them below it as `key: value`";
                self.fault(node.line, path, text.to_owned());
                Some(faulty())
            }
            (Shape::Section(keys), Kind::Map(_)) => Some(self.section(node, keys, path)),
            (Shape::Map(of), Kind::Map(_)) => Some(self.map(node, of, path)),
        }
    }

    fn section(&mut self, node: &Node, keys: &[Key], path: &mut Vec<String>) -> Value {
        let mut dict = Dict::new();
        for entry in node.entries() {
            path.push(entry.key.clone());
            match keys.iter().find(|key| key.name == entry.key) {
                None if self.is_of_pyroscope && path.len() == 1 && pyroscope::has(&entry.key) => {}
                None => self.fault(entry.line, path, schema::remedy(&entry.key, keys)),
                Some(key) => {
                    self.note(entry.line, path);
                    if let Some(value) = self.value(&entry.value, &key.shape, path, false) {
                        dict.insert(entry.key.clone(), value);
                    }
                }
            }
            path.pop();
        }
        Value::from(dict)
    }

    fn map(&mut self, node: &Node, of: &Shape, path: &mut Vec<String>) -> Value {
        let mut dict = Dict::new();
        for entry in node.entries() {
            path.push(entry.key.clone());
            self.note(entry.line, path);
            if let Some(value) = self.value(&entry.value, of, path, true) {
                dict.insert(entry.key.clone(), value);
            }
            path.pop();
        }
        Value::from(dict)
    }

    fn note(&mut self, line: usize, path: &[String]) {
        let origin = Origin::File(Arc::clone(&self.file), Some(line));
        let rank = self.notes.0.len();
        let note = Note {
            origin,
            rank,
            written: None,
            variables: Vec::new(),
            bare_variable: false,
        };
        self.notes.0.insert(path.to_vec(), note);
    }

    /// The texts of a list, joined by commas.
    fn texts(&mut self, items: &[Node], path: &[String]) -> Value {
        let mut texts = Vec::new();
        for item in items {
            let value = match &item.kind {
                Kind::Text(text) => self.text(text, item.line, path),
                Kind::Null(_) | Kind::Map(_) | Kind::List(_) => {
                    let text = "has an entry that is no text; write `key: [a, b]`";
                    self.fault(item.line, path, text.to_owned());
                    faulty()
                }
            };
            texts.push(value.into_string());
        }
        let texts: Option<Vec<String>> = texts.into_iter().collect();
        texts.map_or_else(faulty, |texts| Value::from(texts.join(",")))
    }

    fn text(&mut self, text: &str, line: usize, path: &[String]) -> Value {
        let lookup = |name: &str| self.variables.get(name).cloned();
        let file = |path: &str| self.files.content(path);
        match expand::expand(text, Dollars::Escaped, lookup, file) {
            Ok(expanded) => {
                let value = Value::from(expanded.as_ref().map_or(text, |it| it.text.as_str()));
                if let Some(note) = self.notes.0.get_mut(path) {
                    note.bare_variable = expand::is_bare_variable(text);
                    if let Some(expanded) = expanded {
                        note.written = Some(text.to_owned());
                        note.variables = expanded.variables;
                    }
                }
                value
            }
            Err(problems) => {
                for problem in problems {
                    self.fault(line, path, problem);
                }
                faulty()
            }
        }
    }
}
