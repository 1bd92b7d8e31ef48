//! Describes requests to `/ingest` by query and `Content-Type`.

use crate::describe::{Description, Format};
use crate::name::{Dialect, Name};
use crate::query::{self, QueryValue};

impl Format {
    /// The format of a request, from its raw query and its `Content-Type`.
    pub fn of(raw_query: &str, content_type: Option<&str>) -> Self {
        let [format] = query::first(raw_query, ["format"]);
        let format = format.as_ref().map(QueryValue::decode).unwrap_or_default();
        Self::decide(&format, content_type.unwrap_or_default())
    }

    /// Both generations of servers look at `format` first and at `Content-Type` second. The two binary formats
    /// of old agents are an exception: `format` or `Content-Type` may name them.
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
    let format = format.as_ref().map(QueryValue::decode).unwrap_or_default();
    let format = Format::decide(&format, content_type.unwrap_or_default());

    let name = name.as_ref().map(QueryValue::decode).unwrap_or_default();
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
        series: 1,
    }
}
