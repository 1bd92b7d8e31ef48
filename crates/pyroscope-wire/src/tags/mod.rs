//! The tags of a target, validated once when the configuration is read.
//!
//! Valid tags can be written on every surface. The rules are those of the strictest surface, `/ingest`:
//! its `name` parameter has no escaping, so `x: "a,b=c"` would arrive as two labels. [`TagKeys`] selects
//! the grammar of keys.

mod fault;
mod text;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub use fault::{TagFault, TagFaultKind};

/// The longest value that Grafana Pyroscope stores, in bytes (its `max_label_value_length`).
const MAX_VALUE_BYTES: usize = 2048;

/// Labels that Pyroscope interprets or adds itself. A second label of the same name makes Pyroscope refuse or
/// drop the whole profile.
const RESERVED: [&str; 3] = ["pyroscope_spy", "profile_id", "jfr_event"];

/// The name of the application in OTLP. On this surface a tag `service_name` is sent under this key.
const OTLP_APP: &str = "service.name";

/// The keys that a target accepts on every surface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TagKeys {
    /// ASCII letters, digits and `_`, which both generations of Pyroscope accept.
    #[default]
    Legacy,
    /// The characters of [`TagKeys::Legacy`], and dots. Push and OTLP can carry any UTF-8, but a target gets
    /// the profiles of all surfaces, and the modern grammar of `/ingest` has no other character.
    Utf8,
}

/// The valid tags of a target, sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    pairs: BTreeMap<String, String>,
    renamed: Vec<(String, String)>,
}

impl Tags {
    /// Validates the tags of a configuration, with [`TagKeys::Legacy`].
    ///
    /// # Errors
    /// Every fault of every tag, in the order of the configuration.
    pub fn parse(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<TagFault>> {
        Self::with_keys(TagKeys::Legacy, pairs)
    }

    /// Validates the tags of a configuration.
    ///
    /// A `-` in a key is sent as `_`: no Pyroscope accepts a `-`, but its documentation uses it. An
    /// empty value is valid, as it was in Pyroscope's own remote write.
    ///
    /// # Errors
    /// Every fault of every tag, in the order of the configuration.
    pub fn with_keys(
        keys: TagKeys,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<TagFault>> {
        let mut tags = Self::default();
        let mut faults = Vec::new();
        // Maps the key that identifies a tag on every surface to the key as the user wrote it.
        let mut written = BTreeMap::<String, String>::new();

        for (key, value) in pairs {
            let sent = key.replace('-', "_");
            let found = [key_fault(keys, &sent), value_fault(&value)];
            faults.extend(
                found
                    .into_iter()
                    .flatten()
                    .map(|kind| TagFault::new(&key, kind)),
            );

            let identity = if sent == OTLP_APP {
                "service_name"
            } else {
                &sent
            };
            match written.entry(identity.to_owned()) {
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

    /// The keys that are changed before they are sent, as (written, sent). The caller warns about them
    /// once, at start.
    pub fn renamed(&self) -> &[(String, String)] {
        &self.renamed
    }

    /// Whether there are no tags.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The value of a tag.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str)
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

fn key_fault(keys: TagKeys, key: &str) -> Option<TagFaultKind> {
    if key.is_empty() {
        return Some(TagFaultKind::KeyEmpty);
    }
    let legacy = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let modern = |c: char| legacy(c) || c == '.';
    if let Some(c) = key.chars().find(|c| !modern(*c)) {
        return Some(TagFaultKind::KeyCharacter(c));
    }
    if keys == TagKeys::Legacy && !key.chars().all(legacy) {
        return Some(TagFaultKind::KeyDot);
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
