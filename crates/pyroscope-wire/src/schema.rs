//! What a surface's own module can do with its messages.

use bytes::Bytes;

use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// What a surface can do with a message in one syntax.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema {
    pub(crate) upsert: fn(&Bytes, &Tags, usize) -> Result<Vec<Bytes>, Undecodable>,
    pub(crate) contents: fn(&Bytes) -> Result<Contents, Undecodable>,
}

/// What a message holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) series: usize,
    /// Labels of the first series, as they came.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) profiles: Vec<Bytes>,
}

/// Text for people: what is not UTF-8 is shown as such.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
