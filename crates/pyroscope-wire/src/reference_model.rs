//! A second implementation of tagging, for tests and fuzz targets: prost decodes a Push or OTLP message,
//! and the tags are added to the decoded message. Tests compare its result with that of
//! `Message::tagged`, with which it shares no code.
//!
//! Fields called `unknown_…` are in no schema.

use bytes::Bytes;

/// The keys and values of tags.
pub(crate) type TagPairs<'t> = [(&'t str, &'t str)];

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<Series>,
    #[prost(uint64, tag = "9")]
    pub(crate) unknown_varint: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Series {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
    #[prost(fixed64, tag = "8")]
    pub(crate) unknown_fixed: u64,
    #[prost(bytes = "vec", tag = "100")]
    pub(crate) unknown_bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
    #[prost(fixed32, tag = "3")]
    pub(crate) unknown_fixed: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sample {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) profiles: Vec<ResourceProfiles>,
    #[prost(message, optional, tag = "2")]
    pub(crate) dictionary: Option<Dictionary>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Dictionary {
    #[prost(string, repeated, tag = "5")]
    pub(crate) strings: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) attributes: Vec<TableEntry>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(crate) stacks: Vec<Vec<u8>>,
}

/// An attribute of samples.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TableEntry {
    #[prost(int32, tag = "1")]
    pub(crate) key_index: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<Any>,
    #[prost(int32, tag = "3")]
    pub(crate) unit_index: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceProfiles {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) scopes: Vec<Vec<u8>>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<Attribute>,
    #[prost(uint32, tag = "2")]
    pub(crate) dropped: u32,
    #[prost(bytes = "vec", tag = "100")]
    pub(crate) unknown_bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<Any>,
    #[prost(int32, tag = "3")]
    pub(crate) key_index: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, optional, tag = "1")]
    pub(crate) string: Option<String>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) int: Option<i64>,
}

impl PushRequest {
    pub(crate) fn upsert(mut self, tags: &TagPairs<'_>) -> Self {
        for series in &mut self.series {
            let label = |name: &str, value: &str| Label {
                name: name.to_owned(),
                value: value.to_owned(),
                unknown_fixed: 0,
            };
            upsert_tags(&mut series.labels, tags, label, |label, key| {
                label.name == key
            });
        }
        self
    }

    pub(crate) fn raw_profiles(&self) -> Vec<&[u8]> {
        self.series
            .iter()
            .flat_map(|series| &series.samples)
            .map(|sample| &sample.raw_profile[..])
            .collect()
    }
}

impl ExportRequest {
    pub(crate) fn upsert(mut self, tags: &TagPairs<'_>) -> Self {
        let strings = self.dictionary.clone().unwrap_or_default().strings;
        let app = tags.iter().find(|(key, _)| *key == "service.name");
        if let (Some((_, app)), Some(dictionary)) = (app, &mut self.dictionary) {
            for entry in &mut dictionary.attributes {
                if entry_at(&strings, entry.key_index) == "service.name" {
                    entry.value = Some(Any {
                        string: Some((*app).to_owned()),
                        int: None,
                    });
                }
            }
        }
        for profiles in &mut self.profiles {
            let resource = profiles.resource.get_or_insert_default();
            let attribute = |key: &str, value: &str| Attribute {
                key: key.to_owned(),
                value: Some(Any {
                    string: Some(value.to_owned()),
                    int: None,
                }),
                key_index: 0,
            };
            upsert_tags(
                &mut resource.attributes,
                tags,
                attribute,
                |attribute, key| attribute.key(&strings) == key,
            );
        }
        self
    }
}

/// Removes the entries whose key is the key of a tag, and puts the tags before the others.
pub(crate) fn upsert_tags<T>(
    entries: &mut Vec<T>,
    tags: &TagPairs<'_>,
    new: impl Fn(&str, &str) -> T,
    has_key: impl Fn(&T, &str) -> bool,
) {
    entries.retain(|entry| !tags.iter().any(|(key, _)| has_key(entry, key)));
    entries.splice(..0, tags.iter().map(|&(key, value)| new(key, value)));
}

impl Attribute {
    pub(crate) fn key<'a>(&'a self, strings: &'a [String]) -> &'a str {
        match self.key.as_str() {
            "" => entry_at(strings, self.key_index),
            key => key,
        }
    }
}

/// An entry of the string table; empty for index 0, which stands for no entry.
fn entry_at(strings: &[String], index: i32) -> &str {
    let index = usize::try_from(index).ok().filter(|index| *index > 0);
    let entry = index.and_then(|index| strings.get(index));
    entry.map_or("", String::as_str)
}

/// Asserts that every part lies at its own address within one of the pieces.
pub(crate) fn assert_not_copied(parts: impl Iterator<Item = Bytes>, pieces: &[Bytes]) {
    for part in parts.filter(|part| !part.is_empty()) {
        let (start, length) = (part.as_ptr().addr(), part.len());
        let within = |piece: &Bytes| {
            let from = piece.as_ptr().addr();
            from <= start && start + length <= from + piece.len()
        };
        assert!(pieces.iter().any(within), "{part:?} was copied");
    }
}
