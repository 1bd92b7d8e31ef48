//! The messages of Push and OTLP as prost reads them, and what tagging means on them: the model
//! that tests and fuzz targets hold the rewriting against. It shares no code with it.
//!
//! Fields called `unknown_…` are in no schema.

/// Keys and values of tags.
pub(crate) type Pairs<'t> = [(&'t str, &'t str)];

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
    pub(crate) fn upsert(mut self, tags: &Pairs<'_>) -> Self {
        for series in &mut self.series {
            let mut labels: Vec<_> = tags
                .iter()
                .map(|&(name, value)| Label {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    unknown_fixed: 0,
                })
                .collect();
            labels.extend(
                std::mem::take(&mut series.labels)
                    .into_iter()
                    .filter(|label| tags.iter().all(|(name, _)| *name != label.name)),
            );
            series.labels = labels;
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
    pub(crate) fn upsert(mut self, tags: &Pairs<'_>) -> Self {
        let strings = self.dictionary.clone().unwrap_or_default().strings;
        for profiles in &mut self.profiles {
            let resource = profiles.resource.get_or_insert_default();
            let mut attributes: Vec<_> = tags
                .iter()
                .map(|&(key, value)| Attribute {
                    key: key.to_owned(),
                    value: Some(Any {
                        string: Some(value.to_owned()),
                        int: None,
                    }),
                    key_index: 0,
                })
                .collect();
            attributes.extend(std::mem::take(&mut resource.attributes).into_iter().filter(
                |attribute| {
                    let key = attribute.key(&strings);
                    tags.iter().all(|(tag, _)| *tag != key)
                },
            ));
            resource.attributes = attributes;
        }
        self
    }
}

impl Attribute {
    pub(crate) fn key<'a>(&'a self, strings: &'a [String]) -> &'a str {
        if !self.key.is_empty() || self.key_index <= 0 {
            return &self.key;
        }
        let index = usize::try_from(self.key_index).unwrap_or(usize::MAX);
        strings.get(index).map_or("", String::as_str)
    }
}
