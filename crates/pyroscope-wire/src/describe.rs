//! What a request is, in words for people: logs, the sink, a status page.

/// A request in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The name of the application. A name that does not parse is here as it came; a message that
    /// has none is of `unknown_service`, as Pyroscope calls it.
    pub app: String,
    /// Labels of the first series, in order of their names. In `/ingest` the name of the
    /// application is none of them, in the other surfaces it is one.
    pub labels: Vec<(String, String)>,
    pub format: Format,
    /// How many sets of labels there are: always one in `/ingest`.
    pub series: usize,
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
    /// A message of Push or OTLP in protobuf.
    Proto,
    /// A message of Push or OTLP in JSON.
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
