//! Tags of a target, checked once at start so that no request can be spoilt by them.
//!
//! What passes here can be written in every surface's way of carrying labels and is accepted by
//! both generations of Pyroscope. The strictest of them decides: the `name` of `/ingest`, which has
//! no escaping (`x: "a,b=c"` would arrive as two labels).

mod fault;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub use fault::{TagFault, TagFaultKind};

/// The longest value that Grafana Pyroscope stores, in bytes (its `max_label_value_length`).
const MAX_VALUE_BYTES: usize = 2048;

/// Labels to which Pyroscope gives a meaning of its own, or which it adds itself: a second one of
/// the same name makes it refuse or drop the whole profile.
const RESERVED: [&str; 3] = ["pyroscope_spy", "profile_id", "jfr_event"];

/// Valid tags, in order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    pairs: BTreeMap<String, String>,
    renamed: Vec<(String, String)>,
}

impl Tags {
    /// Checks tags as they were written in a configuration.
    ///
    /// A `-` in a key is sent as `_`: no Pyroscope accepts it, and its documentation uses it. An
    /// empty value is allowed, as it was in Pyroscope's own remote write.
    ///
    /// # Errors
    /// Every fault of every tag, in the order in which they were written.
    pub fn parse(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<TagFault>> {
        let mut tags = Self::default();
        let mut faults = Vec::new();
        // What is sent, and how it was written.
        let mut written = BTreeMap::<String, String>::new();

        for (key, value) in pairs {
            let sent = key.replace('-', "_");
            let found = [key_fault(&sent), value_fault(&value)];
            faults.extend(
                found
                    .into_iter()
                    .flatten()
                    .map(|kind| TagFault::new(&key, kind)),
            );

            match written.entry(sent.clone()) {
                Entry::Occupied(first) => {
                    let kind = TagFaultKind::SameAs(first.get().clone());
                    faults.push(TagFault::new(&key, kind));
                    continue;
                }
                Entry::Vacant(free) => free.insert(key.clone()),
            };
            if sent != key {
                tags.renamed.push((key, sent.clone()));
            }
            tags.pairs.insert(sent, value);
        }
        if faults.is_empty() {
            Ok(tags)
        } else {
            Err(faults)
        }
    }

    /// Keys that are sent otherwise than written, as (written, sent): worth one warning at start.
    pub fn renamed(&self) -> &[(String, String)] {
        &self.renamed
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Whether one of the tags has this key.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        std::str::from_utf8(key).is_ok_and(|key| self.pairs.contains_key(key))
    }

    /// The same tags, with one of them under another key.
    pub(crate) fn with_key(&self, key: &str, other: &str) -> Self {
        let mut tags = self.clone();
        if let Some(value) = tags.pairs.remove(key) {
            tags.pairs.insert(other.to_owned(), value);
        }
        tags
    }

    /// Keys and values, in byte order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn key_fault(key: &str) -> Option<TagFaultKind> {
    if key.is_empty() {
        return Some(TagFaultKind::KeyEmpty);
    }
    if let Some(c) = key
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && *c != '_')
    {
        return Some(TagFaultKind::KeyCharacter(c));
    }
    let reserved = key.starts_with("__") || RESERVED.contains(&key);
    reserved.then_some(TagFaultKind::KeyReserved)
}

fn value_fault(value: &str) -> Option<TagFaultKind> {
    if let Some(c) = value
        .chars()
        .find(|c| matches!(c, ',' | '}') || c.is_control())
    {
        return Some(TagFaultKind::ValueCharacter(c));
    }
    if value.trim() != value {
        return Some(TagFaultKind::ValueSpace);
    }
    (value.len() > MAX_VALUE_BYTES).then_some(TagFaultKind::ValueLength(value.len()))
}

#[cfg(test)]
mod tests;
