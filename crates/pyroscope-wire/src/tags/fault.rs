//! Why a tag is refused, and what the user can do.

use thiserror::Error;

use super::MAX_VALUE_BYTES;

/// Why one tag is refused. `Display` does not contain the value, which may be long.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("tag {key:?}: {kind}")]
pub struct TagFault {
    /// The key as the user wrote it.
    pub key: String,
    pub kind: TagFaultKind,
}

/// The kinds of faults of a tag. `Display` states the problem and then the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TagFaultKind {
    #[error("the key is empty: give it a name of letters, digits and '_'")]
    KeyEmpty,
    #[error("Pyroscope does not allow {0:?} in a key: use letters, digits and '_'")]
    KeyCharacter(char),
    #[error(
        "a Pyroscope before 1.0 refuses a dot in a key: use '_', or set `tag-keys` to `utf8` if the target \
         accepts dots"
    )]
    KeyDot,
    #[error("the key is reserved by Pyroscope: choose another one")]
    KeyReserved,
    #[error("it is sent under the same key as {0:?}: remove or rename one of them")]
    SameAs(String),
    #[error("{0:?} cannot be sent in a value, Pyroscope has no way to escape it: leave it out")]
    ValueCharacter(char),
    #[error("the value begins or ends with white space, which Pyroscope removes: leave it out")]
    ValueSpace,
    #[error("the value has {0} bytes, Pyroscope takes {MAX_VALUE_BYTES}: shorten it")]
    ValueLength(usize),
}

impl TagFault {
    pub(super) fn new(key: &str, kind: TagFaultKind) -> Self {
        Self {
            key: key.to_owned(),
            kind,
        }
    }
}
