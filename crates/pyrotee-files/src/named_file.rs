//! A file that a configuration names, and the unit in which its content changes.

use std::{path::PathBuf, sync::Arc};

/// Limit of a file in `${file:PATH}`, in bytes: more than any token has.
const LARGEST_VALUE: u64 = 64 * 1024;

/// Limit of a file of certificates, in bytes: more than the bundle of all public authorities has.
const LARGEST_PEM: u64 = 1024 * 1024;

/// A file, and where the configuration names it. A file that is named by two sections has a content for each of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedFile {
    pub(crate) place: Place,
    /// The absolute path.
    pub(crate) path: PathBuf,
}

/// Where a configuration names a file. The order puts the files of a section next to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In `${file:PATH}`.
    Value,
    /// In a section of TLS, by the path of its key. The files of one section change together.
    Tls(Arc<str>),
}

impl NamedFile {
    /// Whether the contents of both files change together.
    pub(crate) fn is_in_unit_of(&self, other: &Self) -> bool {
        match self.place {
            Place::Value => self == other,
            Place::Tls(_) => self.place == other.place,
        }
    }

    /// Longest content, in bytes.
    pub(crate) fn largest(&self) -> u64 {
        match self.place {
            Place::Value => LARGEST_VALUE,
            Place::Tls(_) => LARGEST_PEM,
        }
    }
}
