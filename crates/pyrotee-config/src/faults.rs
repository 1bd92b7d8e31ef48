//! Faults of a configuration, each with its place and a remedy.

use std::{fmt, sync::Arc};

/// Longest part of a key that a fault shows; target names are no longer than this either.
const MAX_SHOWN: usize = 63;

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

/// A path of keys as a fault shows it, joined by dots.
pub(crate) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    path.iter()
        .map(|key| shown(key.as_ref()))
        .collect::<Vec<_>>()
        .join(".")
}

/// A key as a fault may show it: cut at the first character that no valid key has.
///
/// A missing space or a wrong indentation turns values into keys (`auth-token:SECRET`,
/// `http://user:SECRET@host`), so the text behind such a character is not repeated.
pub(crate) fn shown(key: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
    let mut start: String = key.chars().take_while(plain).take(MAX_SHOWN).collect();
    if start.len() < key.len() {
        start.push('…');
    }
    start
}

/// The text "problem: remedy" of another crate in the form of this one: "problem; remedy".
pub(crate) fn with_semicolon(text: &str) -> String {
    match text.rsplit_once(": ") {
        Some((problem, remedy)) => format!("{problem}; {remedy}"),
        None => text.to_owned(),
    }
}
