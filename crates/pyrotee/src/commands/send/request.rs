//! The bytes of a request, head and body, as they go over the wire.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use bytes::Bytes;
use pyroscope_wire::{Surface, query, time};
use pyrotee_client::{BodyDigest, CapturedRequest, USER_AGENT, push_body};
use pyrotee_net::Address;

use super::SurfaceArg;
use super::profile::{BodyFormat, Profile};

/// Time span from `from` to `until` of an uploaded profile, in nanoseconds.
const COVERED: u64 = 10_000_000_000;

/// Makes requests out of a profile, or out of a captured request.
#[derive(Debug, Clone)]
pub(super) enum RequestSource {
    Profile(Profile),
    Captured(CapturedRequest),
}

/// The bytes of a request, and the digest of its body.
#[derive(Debug, Clone)]
pub(super) struct RawRequest {
    pub(super) bytes: Vec<u8>,
    pub(super) body: BodyDigest,
}

impl RequestSource {
    pub(super) fn open(file: Option<&Path>, surface: SurfaceArg) -> anyhow::Result<Self> {
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
                surface == SurfaceArg::Ingest,
                "--as does not change a captured request, which keeps its path: leave it out"
            );
            return CapturedRequest::parse(data.into())
                .map(Self::Captured)
                .with_context(|| format!("cannot send {} again", path.display()));
        }
        Ok(Self::Profile(Profile::of_file(path, data, surface)?))
    }

    /// The request to the server at `address`. `name` and `now` are for profiles: a captured request has a name
    /// and times of its own.
    pub(super) fn request(
        &self,
        address: &Address,
        name: &str,
        now: SystemTime,
    ) -> anyhow::Result<RawRequest> {
        Ok(match self {
            Self::Captured(request) => join(request.head_for(address), &request.body),
            Self::Profile(profile) => upload(profile, address, name, now)?,
        })
    }
}

/// The parts of an upload that depend on the surface.
struct SurfaceParts {
    /// Canonical path and query.
    target: String,
    /// `Content-Type`, and `Content-Encoding` if there is one.
    fields: String,
    body: Bytes,
}

fn upload(
    profile: &Profile,
    address: &Address,
    name: &str,
    now: SystemTime,
) -> anyhow::Result<RawRequest> {
    let data = &profile.data;
    let parts = match profile.format {
        BodyFormat::Raw(format) => SurfaceParts {
            target: ingest(name, &format!("&format={format}"), now),
            fields: "Content-Type: binary/octet-stream\r\n".to_owned(),
            body: data.clone(),
        },
        BodyFormat::Multipart => {
            // The boundary is made from the content, so that equal profiles give equal bodies, and no profile contains
            // its boundary by accident.
            let boundary = format!("pyrotee-{}", BodyDigest::of(data));
            SurfaceParts {
                target: ingest(name, "", now),
                fields: format!("Content-Type: multipart/form-data; boundary={boundary}\r\n"),
                body: multipart(&boundary, data),
            }
        }
        BodyFormat::Push => SurfaceParts {
            target: Surface::Push.canonical_path().to_owned(),
            fields: "Content-Type: application/proto\r\nContent-Encoding: gzip\r\n".to_owned(),
            body: push_body(name, data)?,
        },
        BodyFormat::Export(kind) => SurfaceParts {
            target: Surface::Otlp.canonical_path().to_owned(),
            fields: format!("Content-Type: {kind}\r\n"),
            body: data.clone(),
        },
    };
    let head = format!(
        "POST {}{} HTTP/1.1\r\n\
         Host: {}\r\n\
         User-Agent: {USER_AGENT}\r\n\
         {}\
         Content-Length: {}\r\n\
         \r\n",
        address.prefix(),
        parts.target,
        address.authority(),
        parts.fields,
        parts.body.len(),
    );
    Ok(join(head.into_bytes(), &parts.body))
}

/// Path and query of an upload to `/ingest`; `format` begins with `&` or is empty.
fn ingest(name: &str, format: &str, now: SystemTime) -> String {
    // In nanoseconds, because a Pyroscope keeps only one of several profiles with equal names and times.
    let until = time::unix_nanos(now);
    format!(
        "{}?name={}&from={:019}&until={until:019}{format}&sampleRate=100&spyName=pyrotee",
        Surface::Ingest.canonical_path(),
        query::encode(name),
        until.saturating_sub(COVERED),
    )
}

/// Returns a multipart body with one part, which has a file name: Pyroscope ignores parts without one.
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

fn join(mut head: Vec<u8>, body: &[u8]) -> RawRequest {
    head.extend_from_slice(body);
    RawRequest {
        bytes: head,
        body: BodyDigest::of(body),
    }
}
