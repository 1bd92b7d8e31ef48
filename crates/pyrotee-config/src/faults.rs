//! Faults of a configuration, each with its place and a remedy.

use std::{fmt, sync::Arc};

pub(crate) use pyrotee_yaml::{dotted, shown, with_semicolon};

/// One fault of a configuration; displayed as `PLACE: key.path: problem; remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) origin: Origin,
    pub(crate) key: String,
    pub(crate) text: String,
}

/// Where a value was written. The order of the variants is the order of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// No place: the fault concerns the configuration as a whole.
    Nowhere,
    /// A file, and the line in it if there is one.
    File(Arc<str>, Option<usize>),
    /// A variable of the environment.
    Environment(String),
    /// A flag, with its dashes.
    Flag(String),
}

/// All faults of a configuration, sorted by place. Never empty.
#[derive(Clone, Debug)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| a.origin.cmp(&b.origin));
        Self(faults)
    }

    /// All faults, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 fault in the configuration"),
            count => write!(f, "{count} faults in the configuration"),
        }
    }
}

impl std::error::Error for Faults {}

impl Fault {
    /// A fault of the YAML of a file.
    pub(crate) fn of_file(file: &Arc<str>, fault: pyrotee_yaml::Fault) -> Self {
        let pyrotee_yaml::Fault { line, key, text } = fault;
        let origin = Origin::File(Arc::clone(file), Some(line));
        Self { origin, key, text }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Nowhere => f.write_str("configuration: ")?,
            Origin::File(path, Some(line)) => write!(f, "{path}:{line}: ")?,
            Origin::File(path, None) => write!(f, "{path}: ")?,
            Origin::Environment(name) => write!(f, "environment {name}: ")?,
            Origin::Flag(name) => write!(f, "flag {name}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}
