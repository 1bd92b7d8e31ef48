//! The content of a stream's message: one record, and what another relay needs to deliver it.
//!
//! ```text
//! offset  length
//!      0       4  magic: f0 'P' 'y' 'N'
//!      4       4  version of the format
//!      8       4  length e of the extension
//!     12       4  CRC-32 of the bytes before it and of the extension
//!     16       e  extension: whose (16), failures (4), unknown failures (4), ambiguous failures (4), panics (4),
//!                 failures while healthy (4), length t of the captor's tags (4), tags (t)
//!   16+e          the record as the spool writes it, with number 0, without takers and tags, and with salt 0
//! ```
//!
//! Numbers are little-endian. The first 16 bytes are the same in all versions, and their checksum covers the version:
//! a flipped bit is not taken for a newer version.

#[cfg(test)]
mod tests;

use bytes::{Buf, BufMut};
use crc32fast::Hasher;
use pyrotee_queue::{Head, Record, RetryHistory};
use pyrotee_segments::{Crc, RecordHead};

const MAGIC: [u8; 4] = *b"\xf0PyN";

/// The version that this code writes, and the only one that it reads.
const VERSION: u32 = 1;

const PREFIX_LEN: usize = 16;

/// Bytes of the extension beside the tags.
const FIXED_EXTENSION: usize = 40;

/// Most bytes of a message beside the body, the parts of the head and the tags: all prefixes and lengths, and the header
/// with the message's id.
const MOST_AROUND: u64 = 512;

/// Bytes of a message beside the body and the tags, with a usual head.
pub(crate) const LIKELY_BESIDE: u64 = MOST_AROUND + 1_024;

/// A record that was decoded from a message.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    /// Always with the captor's tags.
    pub(crate) head: Head,
    pub(crate) body: &'a [u8],
    /// Digest of the target's address and tenant, of the relay that captured the record.
    pub(crate) whose: [u8; 16],
    /// The history that the record had when it was handed over.
    pub(crate) history: RetryHistory,
}

/// Why a message is not a record that this relay can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The bytes are not those that a relay wrote.
    Corrupt,
    /// A newer pyrotee wrote the record, in this version of the format.
    Newer(u32),
}

/// Most bytes that the message of this record takes, its headers included. `own_tags`: those of this relay, for a record
/// that it captured.
pub(crate) fn message_len(record: &Record, own_tags: &str) -> u64 {
    let head = record.head();
    let own_tags = head.captor_tags.as_ref().map_or(own_tags.len(), |_| 0);
    record.len() + (head.len() + own_tags) as u64 + MOST_AROUND
}

/// Encodes a record, with the tags of the relay that captured it: `own_tags`, or those that it came with.
pub(crate) fn encode(
    record: &Record,
    own_tags: &str,
    whose: [u8; 16],
    history: RetryHistory,
) -> Vec<u8> {
    let mut head = record.head().clone();
    let tags = head.captor_tags.take();
    let tags = tags.as_deref().unwrap_or(own_tags);
    let head = RecordHead {
        number: 0,
        takers: Vec::new(),
        head,
    };
    let head = head.encode(record.body(), Crc::salted(0));
    let capacity = usize::try_from(message_len(record, own_tags)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(capacity);
    let mut extension = Vec::with_capacity(FIXED_EXTENSION + tags.len());
    extension.extend_from_slice(&whose);
    for number in [
        history.failures,
        history.unknown_failures,
        history.ambiguous_failures,
        history.panics,
        history.failures_while_healthy,
    ] {
        extension.put_u32_le(number);
    }
    extension.put_u32_le(len32(tags.len()));
    extension.extend_from_slice(tags.as_bytes());
    seal(&mut bytes, &extension);
    bytes.extend_from_slice(&head);
    for frame in record.body().frames() {
        bytes.extend_from_slice(frame);
    }
    bytes
}

/// Appends an extension to the empty `bytes`, after its prefix with the checksum of both.
pub(crate) fn seal(bytes: &mut Vec<u8>, extension: &[u8]) {
    bytes.extend_from_slice(&MAGIC);
    bytes.put_u32_le(VERSION);
    bytes.put_u32_le(len32(extension.len()));
    let crc = crc_of(bytes, extension);
    bytes.put_u32_le(crc);
    bytes.extend_from_slice(extension);
}

/// Decodes the content of a message.
///
/// # Errors
/// The bytes are damaged, or a newer pyrotee wrote them.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded<'_>, Unreadable> {
    let mut fields = bytes.get(..PREFIX_LEN).ok_or(Unreadable::Corrupt)?;
    let covered = bytes.get(..PREFIX_LEN - 4).ok_or(Unreadable::Corrupt)?;
    if !fields.starts_with(&MAGIC) {
        return Err(Unreadable::Corrupt);
    }
    fields.advance(MAGIC.len());
    let (version, len, crc) = (
        fields.get_u32_le(),
        fields.get_u32_le(),
        fields.get_u32_le(),
    );
    let rest = bytes.get(PREFIX_LEN..).unwrap_or_default();
    let len = usize::try_from(len).map_err(|_| Unreadable::Corrupt)?;
    let (extension, record) = rest.split_at_checked(len).ok_or(Unreadable::Corrupt)?;
    if crc_of(covered, extension) != crc {
        return Err(Unreadable::Corrupt);
    }
    if version != VERSION {
        return Err(Unreadable::Newer(version));
    }
    decode_parts(extension, record).ok_or(Unreadable::Corrupt)
}

fn decode_parts<'a>(mut extension: &[u8], record: &'a [u8]) -> Option<Decoded<'a>> {
    let whose = *extension.split_first_chunk()?.0;
    extension.advance(whose.len());
    let mut number = || extension.try_get_u32_le().ok();
    let history = RetryHistory {
        failures: number()?,
        unknown_failures: number()?,
        ambiguous_failures: number()?,
        panics: number()?,
        failures_while_healthy: number()?,
        ..RetryHistory::default()
    };
    let len = usize::try_from(number()?).ok()?;
    let tags = std::str::from_utf8(extension.get(..len)?).ok()?.into();
    let (head, body) = RecordHead::decode_whole(record, Crc::salted(0))?;
    let head = Head {
        captor_tags: Some(tags),
        ..head.head
    };
    Some(Decoded {
        head,
        body,
        whose,
        history,
    })
}

fn crc_of(prefix: &[u8], extension: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(prefix);
    hasher.update(extension);
    hasher.finalize()
}

/// A length as it is written. All lengths are bounded long before.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
