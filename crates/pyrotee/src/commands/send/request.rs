//! The bytes of a request, head and body, as they go over the wire.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use bytes::Bytes;
use pyroscope_wire::{Surface, query, time};
use pyrotee_net::Address;

use super::profile::{Framing, Profile};
use super::{As, capture, push};
use crate::commands::sink::digest::Digest;

/// The span of time that a profile is said to cover, in nanoseconds.
const COVERED: u64 = 10_000_000_000;

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
    pub(super) fn open(file: Option<&Path>, surface: As) -> anyhow::Result<Self> {
        let Some(path) = file else {
            return Ok(Self::Profile(Profile::sample(surface)?));
        };
        let data = std::fs::read(path)
            .with_context(|| format!("failed to read {}: check --file", path.display()))?;
        if path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("http"))
        {
            ensure!(
                surface == As::Ingest,
                "--as does not change a captured request: leave it out, it goes where it went"
            );
            return Self::capture(data.into())
                .with_context(|| format!("cannot send {} again", path.display()));
        }
        Ok(Self::Profile(Profile::of_file(path, data, surface)?))
    }

    /// A captured request.
    pub(super) fn capture(mut head: Bytes) -> anyhow::Result<Self> {
        let body = head.split_off(capture::body_start(&head)?);
        Ok(Self::Capture { head, body })
    }

    pub(super) fn prepare(
        &self,
        address: &Address,
        name: &str,
        now: SystemTime,
    ) -> anyhow::Result<Prepared> {
        Ok(match self {
            Self::Capture { head, body } => join(capture::readdress(head, address), body),
            Self::Profile(profile) => prepare(profile, address, name, now)?,
        })
    }
}

/// What depends on the surface.
struct Upload {
    /// Canonical path and query.
    target: String,
    /// `Content-Type`, and `Content-Encoding` if there is one.
    fields: String,
    body: Bytes,
}

fn prepare(
    profile: &Profile,
    address: &Address,
    name: &str,
    now: SystemTime,
) -> anyhow::Result<Prepared> {
    let data = &profile.data;
    let upload = match profile.framing {
        Framing::Raw(format) => Upload {
            target: ingest(name, &format!("&format={format}"), now),
            fields: "Content-Type: binary/octet-stream\r\n".to_owned(),
            body: data.clone(),
        },
        Framing::Multipart => {
            // Made from the content, so that equal profiles give equal bodies and no boundary
            // occurs inside of one but by intent.
            let boundary = format!("pyrotee-{}", Digest::of(data));
            Upload {
                target: ingest(name, "", now),
                fields: format!("Content-Type: multipart/form-data; boundary={boundary}\r\n"),
                body: multipart(&boundary, data),
            }
        }
        Framing::Push => Upload {
            target: Surface::Push.canonical_path().to_owned(),
            fields: "Content-Type: application/proto\r\nContent-Encoding: gzip\r\n".to_owned(),
            body: push::request(name, data)?,
        },
        Framing::Export(kind) => Upload {
            target: Surface::Otlp.canonical_path().to_owned(),
            fields: format!("Content-Type: {kind}\r\n"),
            body: data.clone(),
        },
    };
    let head = format!(
        "POST {}{} HTTP/1.1\r\n\
         Host: {}\r\n\
         User-Agent: pyrotee/{}\r\n\
         {}\
         Content-Length: {}\r\n\
         \r\n",
        address.prefix(),
        upload.target,
        address.authority(),
        env!("CARGO_PKG_VERSION"),
        upload.fields,
        upload.body.len(),
    );
    Ok(join(head.into_bytes(), &upload.body))
}

/// Path and query of an upload to `/ingest`; `format` begins with `&` or is empty.
fn ingest(name: &str, format: &str, now: SystemTime) -> String {
    // In nanoseconds: a Pyroscope keeps one profile of those with equal names and times.
    let until = time::unix_nanos(now);
    format!(
        "{}?name={}&from={:019}&until={until:019}{format}&sampleRate=100&spyName=pyrotee",
        Surface::Ingest.canonical_path(),
        query::encode(name),
        until.saturating_sub(COVERED),
    )
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
