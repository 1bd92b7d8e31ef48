//! What a request to `/ingest` is, in words for people: logs, the sink, a status page.

use crate::name::{Dialect, Name};
use crate::query::{self, Value};

/// A request in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The name of the application; a name that does not parse is here as it came.
    pub app: String,
    /// Labels in order of their keys.
    pub labels: Vec<(String, String)>,
    pub format: Format,
}

/// How Pyroscope will read the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Trie,
    Tree,
    Lines,
    Jfr,
    /// pprof as the whole body.
    Pprof,
    Speedscope,
    /// pprof as a part of `multipart/form-data`.
    Multipart,
    /// Collapsed stacks; also what an unknown format is taken for.
    Groups,
}

impl Format {
    /// A short word for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trie => "trie",
            Self::Tree => "tree",
            Self::Lines => "lines",
            Self::Jfr => "jfr",
            Self::Pprof => "pprof",
            Self::Speedscope => "speedscope",
            Self::Multipart => "multipart",
            Self::Groups => "groups",
        }
    }

    /// Decides as both generations of servers do, in their order: `format` before `Content-Type`,
    /// except for the two binary formats of old agents, which either of them may name.
    fn decide(format: &str, content_type: &str) -> Self {
        match (format, content_type) {
            ("trie", _) | (_, "binary/octet-stream+trie") => Self::Trie,
            ("tree", _) | (_, "binary/octet-stream+tree") => Self::Tree,
            ("lines", _) => Self::Lines,
            ("jfr", _) => Self::Jfr,
            ("pprof", _) => Self::Pprof,
            ("speedscope", _) => Self::Speedscope,
            (_, kind) if kind.contains("multipart/form-data") => Self::Multipart,
            _ => Self::Groups,
        }
    }
}

/// Describes a request by its raw query and its `Content-Type`.
pub fn describe(raw_query: &str, content_type: Option<&str>) -> Description {
    let [name, format] = query::first(raw_query, ["name", "format"]);
    let format = format.as_ref().map(Value::decode).unwrap_or_default();
    let format = Format::decide(&format, content_type.unwrap_or_default());

    let name = name.as_ref().map(Value::decode).unwrap_or_default();
    let (app, labels) = match Name::parse(&name, Dialect::Modern) {
        Ok(parsed) => (
            parsed.app().to_owned(),
            parsed
                .labels()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        ),
        Err(_) => (name.into_owned(), Vec::new()),
    };
    Description {
        app,
        labels,
        format,
    }
}
