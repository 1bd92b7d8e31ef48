//! A fault of a document.

use std::fmt;

/// A fault of a document: its place, and a text with a remedy. Displayed as `line LINE: key.path: problem; remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The path of the key as it may be shown, such as `remote-write.targets`; empty: the document as a whole.
    pub key: String,
    /// The problem and the remedy, separated by `; `.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}
