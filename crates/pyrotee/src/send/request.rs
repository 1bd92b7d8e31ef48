//! The bytes of a request, head and body, as they go over the wire.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use bytes::Bytes;
use pyroscope_wire::{Surface, query, time};
use pyrotee_net::Address;

use crate::sink::digest::Digest;

use super::capture;
use super::profile::{Framing, Profile};

/// The span of time that a profile is said to cover, in seconds.
const COVERED: u64 = 10;

/// What is sent, before it is known when and whereto.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Profile(Profile),
    Capture { head: Bytes, body: Bytes },
}

/// A request that is ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) bytes: Bytes,
    pub(super) body: Digest,
}

impl Source {
    pub(super) fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = file else {
            return Ok(Self::Profile(Profile::sample()));
        };
        let data = std::fs::read(path)
            .with_context(|| format!("failed to read {}: check --file", path.display()))?;
        if path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("http"))
        {
            let start = capture::body_start(&data)
                .with_context(|| format!("cannot send {} again", path.display()))?;
            let mut head = Bytes::from(data);
            let body = head.split_off(start);
            return Ok(Self::Capture { head, body });
        }
        Ok(Self::Profile(Profile::of_file(path, data)?))
    }

    pub(super) fn prepare(
        &self,
        address: &Address,
        name: &str,
        now: SystemTime,
    ) -> anyhow::Result<Prepared> {
        Ok(match self {
            Self::Capture { head, body } => join(capture::readdress(head, address), body),
            Self::Profile(profile) => prepare(profile, address, name, now),
        })
    }
}

fn prepare(profile: &Profile, address: &Address, name: &str, now: SystemTime) -> Prepared {
    let (format, content_type, body) = match profile.framing {
        Framing::Raw(format) => {
            let format = format!("&format={format}");
            (
                format,
                "binary/octet-stream".to_owned(),
                profile.data.clone(),
            )
        }
        Framing::Multipart => {
            // Made from the content, so that equal profiles give equal bodies and no boundary
            // occurs inside of one but by intent.
            let boundary = format!("pyrotee-{}", Digest::of(&profile.data));
            let content_type = format!("multipart/form-data; boundary={boundary}");
            (
                String::new(),
                content_type,
                multipart(&boundary, &profile.data),
            )
        }
    };
    let until = time::unix_seconds(now);
    let head = format!(
        "POST {}{}?name={}&from={}&until={until}{format}&sampleRate=100&spyName=pyrotee HTTP/1.1\r\n\
         Host: {}\r\n\
         User-Agent: pyrotee/{}\r\n\
         Content-Type: {content_type}\r\n\
         Content-Length: {}\r\n\
         \r\n",
        address.prefix(),
        Surface::Ingest.canonical_path(),
        query::encode(name),
        until.saturating_sub(COVERED),
        address.authority(),
        env!("CARGO_PKG_VERSION"),
        body.len(),
    );
    join(head.into_bytes(), &body)
}

/// Pyroscope looks at parts with a file name only.
fn multipart(boundary: &str, data: &[u8]) -> Bytes {
    let mut body = format!(
        "--{boundary}\r\n\
         Content-Disposition: form-data; name=\"profile\"; filename=\"profile.pprof\"\r\n\
         Content-Type: application/octet-stream\r\n\
         \r\n"
    )
    .into_bytes();
    body.extend_from_slice(data);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body.into()
}

fn join(mut head: Vec<u8>, body: &[u8]) -> Prepared {
    head.extend_from_slice(body);
    Prepared {
        bytes: head.into(),
        body: Digest::of(body),
    }
}
