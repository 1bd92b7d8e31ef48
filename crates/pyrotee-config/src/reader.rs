//! Reads the merged values: the value of each key, the place where it was written, and its faults.
//!
//! A fault may repeat a wrong value, which helps to find it. A fault never repeats the value of a key that
//! may hold a secret (such a value is read with [`Scope::text`], and its faults have texts without the
//! value), the content of a variable in `${…}` (the `${…}` is shown), or a text that looks like a URL with
//! credentials.

use std::cell::RefCell;

use figment::{
    Figment, Source,
    value::{Dict, Value},
};
use pyrotee_files::Files;
use pyrotee_tls::SystemRoots;
use pyrotee_yaml::shown_value;

use crate::{
    expand::has_reference,
    faults::{Fault, Origin, dotted, with_semicolon},
    file::{Note, Notes},
    layers::{DEFAULT, ENVIRONMENT, FLAG},
    system_roots::Roots,
};

static NOTHING: Dict = Dict::new();

/// The merged values of all sources, and the faults and warnings found so far.
pub(crate) struct Tree<'f> {
    figment: &'f Figment,
    root: Value,
    notes: Notes,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<String>>,
    files: &'f Files<'f>,
    roots: &'f Roots,
}

/// The keys of one section or map.
pub(crate) struct Scope<'t> {
    tree: &'t Tree<'t>,
    path: Vec<String>,
    dict: &'t Dict,
}

impl<'f> Tree<'f> {
    pub(crate) fn new(
        figment: &'f Figment,
        notes: Notes,
        faults: Vec<Fault>,
        files: &'f Files<'f>,
        roots: &'f Roots,
    ) -> Self {
        let root = figment
            .find_value("")
            .unwrap_or_else(|_| Value::from(Dict::new()));
        let tree = Self {
            figment,
            root,
            notes,
            faults: RefCell::new(faults),
            warnings: RefCell::default(),
            files,
            roots,
        };
        for path in tree.notes.bare_variables() {
            let text = "is taken as it stands; write ${NAME} to put in a variable";
            tree.warn(format!(
                "{}: a value of the form `$NAME` {text}",
                dotted(path)
            ));
        }
        tree
    }

    pub(crate) fn root(&self) -> Scope<'_> {
        let dict = self.root.as_dict().unwrap_or(&NOTHING);
        Scope {
            tree: self,
            path: Vec::new(),
            dict,
        }
    }

    pub(crate) fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    pub(crate) fn files(&self) -> &'f Files<'f> {
        self.files
    }

    /// The roots of the system. Adds one fault if they cannot be read.
    pub(crate) fn system_roots(&self) -> Option<&'f SystemRoots> {
        let error = match self.roots.get() {
            Ok(roots) => return Some(roots),
            Err(error) => error,
        };
        let fault = Fault {
            origin: Origin::Nowhere,
            key: String::new(),
            text: with_semicolon(&error.to_string()),
        };
        let mut faults = self.faults.borrow_mut();
        if !faults.contains(&fault) {
            faults.push(fault);
        }
        None
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// Where a key was written: the source that set its value; for a section, the line in the file.
    fn origin(&self, path: &[String], value: Option<&Value>) -> Origin {
        let in_file = || self.notes.get(path).map(|note| note.origin.clone());
        if matches!(value, Some(Value::Dict(..)) | None)
            && let Some(origin) = in_file()
        {
            return origin;
        }
        // A dict has the tag of the last layer below it, defaults included, which is not always the place of the dict.
        let set = value.and_then(|value| self.set_by(value));
        set.or_else(in_file).unwrap_or(Origin::Nowhere)
    }

    fn set_by(&self, value: &Value) -> Option<Origin> {
        if let Value::Dict(_, dict) = value {
            return dict.values().find_map(|value| self.set_by(value));
        }
        let metadata = self.figment.get_metadata(value.tag())?;
        let name = match &metadata.source {
            Some(Source::Custom(name)) => name.clone(),
            _ => return None,
        };
        match metadata.name.as_ref() {
            ENVIRONMENT => Some(Origin::Environment(name)),
            FLAG => Some(Origin::Flag(name)),
            _ => None,
        }
    }
}

impl<'t> Scope<'t> {
    pub(crate) fn tree(&self) -> &'t Tree<'t> {
        self.tree
    }

    /// The path of `key`, or of the scope itself for an empty `key`, as texts show it.
    pub(crate) fn shown_path(&self, key: &str) -> String {
        dotted(&self.path_of(key))
    }

    fn path_of(&self, key: &str) -> Vec<String> {
        let key = (!key.is_empty()).then(|| key.to_owned());
        self.path.iter().cloned().chain(key).collect()
    }

    /// The keys below `key`; none if `key` is absent or faulty.
    pub(crate) fn scope(&self, key: &str) -> Scope<'t> {
        let dict = self
            .dict
            .get(key)
            .and_then(Value::as_dict)
            .unwrap_or(&NOTHING);
        Scope {
            tree: self.tree,
            path: self.path_of(key),
            dict,
        }
    }

    /// All keys of the scope: the keys of the file in the file's order, then the others by name.
    pub(crate) fn keys(&self) -> Vec<&'t str> {
        let rank = |key: &str| self.note(key).map_or(usize::MAX, |note| note.rank);
        let mut keys: Vec<&str> = self.dict.keys().map(String::as_str).collect();
        keys.sort_by_key(|key| rank(key));
        keys
    }

    fn note(&self, key: &str) -> Option<&'t Note> {
        self.tree.notes.get(&self.path_of(key))
    }

    /// Whether an earlier step found a fault in the key's value.
    pub(crate) fn is_faulty(&self, key: &str) -> bool {
        matches!(self.dict.get(key), Some(Value::Empty(..)))
    }

    /// Whether a source other than the defaults sets the key, with a valid value or not.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        let Some(value) = self.dict.get(key) else {
            return false;
        };
        let metadata = self.tree.figment.get_metadata(value.tag());
        metadata.is_none_or(|metadata| metadata.name != DEFAULT)
    }

    /// The value of a key; `None` if the key is absent or faulty.
    pub(crate) fn text(&self, key: &str) -> Option<&'t str> {
        self.dict.get(key).and_then(Value::as_str)
    }

    /// Parses the value of a key that holds no secret; adds a fault if `parser` fails. The parser's error
    /// continues a sentence that begins with the value: "has no unit; write …".
    pub(crate) fn parse<T>(
        &self,
        key: &str,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key)?;
        parser(text)
            .map_err(|problem| {
                self.fault(key, &format!("{} {problem}", self.shown_value(key, text)))
            })
            .ok()
    }

    /// What the file says of a key; `None` if environment or a flag set its value.
    fn note_in_force(&self, key: &str) -> Option<&'t Note> {
        let value = self.dict.get(key);
        let set_elsewhere = value.and_then(|value| self.tree.set_by(value)).is_some();
        self.note(key).filter(|_| !set_elsewhere)
    }

    /// Warns if the secret of a key comes from `${VAR}` in the file: the variables of a running process do not change.
    /// In an address only the part before the `@` is secret.
    pub(crate) fn warn_of_variables(&self, key: &str) {
        let Some(note) = self.note_in_force(key) else {
            return;
        };
        let written = note.written.as_deref().unwrap_or_default();
        let secret = match key {
            "address" => written
                .rsplit_once('@')
                .map_or("", |(userinfo, _)| userinfo),
            _ => written,
        };
        let mut names = note.variables.iter();
        if let Some(name) = names.find(|name| secret.contains(&format!("${{{name}"))) {
            self.tree.warn(format!(
                "{}: comes from the variable `{name}`, which does not change by reload; use ${{file:PATH}} for a \
                 secret that is rotated",
                self.shown_path(key)
            ));
        }
    }

    fn shown_value(&self, key: &str, text: &str) -> String {
        let written = self
            .note_in_force(key)
            .and_then(|note| note.written.as_deref());
        let text = written.unwrap_or(text);
        shown_value(text)
    }

    /// Adds a fault of `key`, or of the scope itself for an empty `key`.
    pub(crate) fn fault(&self, key: &str, text: &str) {
        let path = self.path_of(key);
        let value = self.dict.get(key).filter(|_| !key.is_empty());
        let origin = match value.map(|value| self.tree.origin(&path, Some(value))) {
            // A key that no source sets gets the place of its section.
            None | Some(Origin::Nowhere) => self.origin_of_scope(),
            Some(origin) => origin,
        };
        let is_override = matches!(origin, Origin::Environment(_) | Origin::Flag(_));
        let has_reference = value.and_then(Value::as_str).is_some_and(has_reference);
        let hint = match is_override && has_reference {
            true => " (`${…}` is not expanded here)",
            false => "",
        };
        let fault = Fault {
            origin,
            key: dotted(&path),
            text: format!("{text}{hint}"),
        };
        self.tree.faults.borrow_mut().push(fault);
    }

    fn origin_of_scope(&self) -> Origin {
        let origin = self.tree.origin(&self.path, None);
        let set = || self.dict.values().find_map(|value| self.tree.set_by(value));
        if origin == Origin::Nowhere {
            set().unwrap_or(origin)
        } else {
            origin
        }
    }
}
