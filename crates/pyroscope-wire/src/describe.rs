//! Descriptions of requests for people: for logs, the sink and the status page.

/// A summary of one request that carries profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The name of the application. A name that does not parse is given unchanged; a message without
    /// a name is given as `unknown_service`, which is the name that Pyroscope stores it under.
    pub app: String,
    /// Labels of the first series, sorted by name. They include the name of the application for Push
    /// and OTLP, not for `/ingest`.
    pub labels: Vec<(String, String)>,
    pub format: Format,
    /// The number of series, each with its own labels. Always 1 for `/ingest`.
    pub series: usize,
}

/// The format in which Pyroscope parses a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Trie,
    Tree,
    Lines,
    Jfr,
    /// The body is a pprof profile.
    Pprof,
    Speedscope,
    /// The body is `multipart/form-data`; one of its parts is a pprof profile.
    Multipart,
    /// Collapsed stacks. Pyroscope parses every unknown format as this one.
    Groups,
    /// A Push or OTLP message in protobuf.
    Proto,
    /// A Push or OTLP message in JSON.
    Json,
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
            Self::Proto => "proto",
            Self::Json => "json",
        }
    }
}
