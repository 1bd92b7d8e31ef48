//! The requests by which the relay sends scraped profiles.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::{
    key::{Key, parameter},
    upstream::Request,
};

/// A scraped profile that arrived at an upstream or a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pulled {
    pub(crate) key: Key,
    /// Nanoseconds since 1970.
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// As it was sent.
    pub(crate) profile: Vec<u8>,
    /// Names of the types of values.
    pub(crate) types: Vec<String>,
    /// The part `sample_type_config`.
    pub(crate) config: Value,
}

impl Pulled {
    /// The profiles of these requests, each of which must have one.
    pub(crate) fn all(requests: &[Request]) -> Vec<Self> {
        requests.iter().map(Self::of).collect()
    }

    fn of(request: &Request) -> Self {
        let head = &request.head;
        assert_eq!(
            (head.method(), head.path()),
            ("POST".into(), "/ingest".into())
        );
        let query = head.query();
        let number = |name| {
            let text = parameter(&query, name).unwrap_or_default();
            text.parse()
                .unwrap_or_else(|error| panic!("{name}: {error}: {query}"))
        };
        let kind = head.get("content-type").unwrap_or_default();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=");
        let boundary = boundary.unwrap_or_else(|| panic!("no boundary: {kind}"));
        let part = |name: &str| part(&request.body.data, boundary, name);
        let config = part("sample_type_config").unwrap_or_default();
        let config: Value = serde_json::from_slice(&config).expect("the configuration is JSON");
        let types = config.as_object().expect("an object of types");
        Self {
            key: Key::of(&query),
            from: number("from"),
            until: number("until"),
            profile: part("profile").expect("a profile"),
            types: types.keys().cloned().collect(),
            config,
        }
    }

    /// The profile without its compression.
    pub(crate) fn unpacked(&self) -> Vec<u8> {
        if !self.profile.starts_with(&[0x1f, 0x8b]) {
            return self.profile.clone();
        }
        let mut plain = Vec::new();
        let read = GzDecoder::new(&self.profile[..]).read_to_end(&mut plain);
        read.expect("a whole stream of gzip");
        plain
    }
}

/// The content of a part of a multipart body.
fn part(body: &[u8], boundary: &str, name: &str) -> Option<Vec<u8>> {
    let start = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
    let rest = &body[find(body, start.as_bytes())?..];
    let content = &rest[find(rest, b"\r\n\r\n")? + 4..];
    let end = find(content, format!("\r\n--{boundary}").as_bytes())?;
    Some(content[..end].to_vec())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|it| it == wanted)
}
