//! Unpacks a body and checks that it is a profile.

use bytes::Bytes;
use pyroscope_wire::Undecodable;
use pyroscope_wire::gzip::{self, Room};
use pyroscope_wire::proto::Fields;
use pyrotee_queue::Workspace;

use super::{Processed, Received, Stop};
use crate::metrics::Failure;

const MAGIC: &[u8] = &[0x1f, 0x8b];

/// A profile that was received.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// As it is sent if nothing is subtracted: compressed once, or not at all.
    pub(super) packed: Bytes,
    /// Not compressed.
    pub(super) content: Bytes,
    /// Memory of `packed` if it is not the body that was received, in bytes.
    pub(super) packed_bytes: usize,
    /// When the profile was taken, in nanoseconds since 1970; 0 if it does not say.
    pub(super) time_nanos: i64,
}

impl Unpacked {
    /// The profile as it was received.
    pub(super) fn into_received(self) -> Processed {
        Processed {
            profile: self.packed,
            time_nanos: self.time_nanos,
            stacks: None,
            is_reset: false,
        }
    }
}

/// Undoes `Content-Encoding`, and the compression that is a part of the format.
pub(super) fn unpack(
    received: &Received,
    limit: usize,
    workspace: &mut Workspace,
) -> Result<Unpacked, Stop> {
    let mut packed = received.body.clone();
    let coding = received
        .coding
        .as_ref()
        .map(|it| it.as_bytes().trim_ascii());
    let mut packed_bytes = 0;
    let mut content = match coding {
        None | Some(b"" | b"identity") => packed.clone(),
        Some(coding) if is_gzip(coding) => {
            let inner = inflate(&packed, limit, 0, workspace)?;
            if inner.starts_with(MAGIC) {
                (packed, packed_bytes) = (inner.clone(), inner.len());
            }
            inner
        }
        Some(_) => return Err(not_pprof("its Content-Encoding is not known; gzip is")),
    };
    if content.starts_with(MAGIC) {
        content = inflate(&content, limit, packed_bytes, workspace)?;
    }
    if content.len() > limit {
        return Err(too_large(limit));
    }
    let time_nanos = check(&content)?;
    Ok(Unpacked {
        packed,
        content,
        packed_bytes,
        time_nanos,
    })
}

fn is_gzip(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
}

fn inflate(
    packed: &Bytes,
    limit: usize,
    held: usize,
    workspace: &mut Workspace,
) -> Result<Bytes, Stop> {
    let mut missing = None;
    let room = Room {
        most: limit,
        allow: &mut |capacity| {
            let wanted = (held + capacity) as u64;
            let grown = workspace.grow_to(wanted);
            if !grown {
                missing = Some(wanted);
            }
            grown
        },
    };
    match gzip::decompress_within(std::slice::from_ref(packed), room) {
        Ok(content) => Ok(Bytes::from(content)),
        Err(_) if missing.is_some() => Err(Stop::NeedsMore(missing.unwrap_or_default())),
        Err(Undecodable::TooLarge { .. }) => Err(too_large(limit)),
        Err(_) => Err(not_pprof("its gzip stream is damaged or cut off")),
    }
}

/// Checks the outermost fields of a profile, and returns its time. `profile.proto`: 1 types, 6 strings, 9 time.
fn check(content: &[u8]) -> Result<i64, Stop> {
    let (mut has_types, mut has_strings, mut time) = (false, false, 0);
    for field in Fields::new(content) {
        let field = field.map_err(|_| not_pprof(&description(content)))?;
        match field.number {
            1 | 6 => {
                field
                    .delimited()
                    .map_err(|_| not_pprof(&description(content)))?;
                has_types |= field.number == 1;
                has_strings |= field.number == 6;
            }
            9 => time = field.varint(content).unwrap_or_default(),
            _ => {}
        }
    }
    match has_types && has_strings {
        true => Ok(i64::try_from(time).unwrap_or_default()),
        false => Err(not_pprof(&description(content))),
    }
}

/// What content is that is no profile.
fn description(content: &[u8]) -> String {
    let start = content.trim_ascii_start();
    let start = start.get(..64).unwrap_or(start);
    let kind = match start.first() {
        None => "it is empty",
        Some(b'<') => "it is an HTML page; check the path, and whether a login is in between",
        Some(b'{' | b'[') => "it is JSON; check the path",
        Some(_)
            if start
                .iter()
                .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) =>
        {
            "it is text; check the path and the parameters (debug must not be set)"
        }
        Some(_) => "it is not in the format of pprof, or cut off",
    };
    kind.to_owned()
}

fn not_pprof(text: &str) -> Stop {
    Stop::Fail(Failure::NotPprof, format!("the body is no profile: {text}"))
}

fn too_large(limit: usize) -> Stop {
    let text = format!(
        "the profile is longer than {limit} bytes when it is unpacked: raise scrape.max-unpacked"
    );
    Stop::Fail(Failure::TooLarge, text)
}
