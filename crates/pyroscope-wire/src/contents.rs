//! The contents of a Push or OTLP message, as far as tools show and compare them.

use bytes::Bytes;

/// The parsed contents of a Push or OTLP message.
#[derive(Debug, Default)]
pub(crate) struct MessageContents {
    /// The number of series (Push) or resources (OTLP).
    pub(crate) series: usize,
    /// Labels of the first series, in the order of the message.
    pub(crate) labels: Vec<(String, String)>,
    /// The parts that tags never change, as slices of the message.
    pub(crate) profiles: Vec<Bytes>,
}

/// Text for people, in which U+FFFD stands for bytes that are not UTF-8.
pub(crate) fn lossy_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
