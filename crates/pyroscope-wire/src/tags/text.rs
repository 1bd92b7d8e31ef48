//! Tags as text, for the relays that share a backlog.
//!
//! The text is `key=value`, joined by commas and sorted by key. It needs no escaping: a valid key contains neither `=`
//! nor a comma, and a valid value contains no comma.

use super::{TagKeys, Tags};

impl Tags {
    /// The tags as text, which [`Tags::read`] reads; empty if there are none.
    pub fn render(&self) -> String {
        let pairs: Vec<_> = self
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        pairs.join(",")
    }

    /// Reads what [`Tags::render`] has written, with the keys of either grammar. `None`: the text is not that of valid
    /// tags, for example because it was damaged.
    pub fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let pairs = text.split(',').map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs
            .map(|pair| pair.map(|(key, value)| (key.to_owned(), value.to_owned())))
            .collect::<Option<_>>()?;
        let tags = Self::with_keys(TagKeys::Utf8, pairs).ok()?;
        // Keys are rendered as they are sent.
        tags.renamed.is_empty().then_some(tags)
    }
}
