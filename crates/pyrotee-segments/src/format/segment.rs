//! File names and heads of segments.

use bytes::BufMut;

use super::cursors::Cursors;
use super::envelope::{EnvelopeKind, FormatError};
use super::fields::{FieldReader, put_short};
use super::{Names, TargetId};

/// Version 2: a record may have headers. Version 1 is otherwise the same, so the same code decodes both.
const ENVELOPE: EnvelopeKind = EnvelopeKind {
    magic: *b"PYROTEES",
    version: VERSION,
};

/// The version of the segments that this code writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 2;

/// The end of the file name of a segment.
const SUFFIX: &str = ".log";

/// The end of the file name of a quarantined segment.
const QUARANTINED: &str = ".corrupt";

/// The head of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHead {
    /// Start value of the records' checksums; see [`Crc`](super::Crc).
    pub salt: u64,
    /// The lowest record number that may be in the segment.
    pub first: u64,
    /// The names of all targets when the segment was begun.
    pub names: Names,
}

impl SegmentHead {
    /// Encodes the head in the version that this code writes.
    pub fn encode(&self) -> Vec<u8> {
        let mut content = Vec::new();
        content.put_u64_le(self.salt);
        content.put_u64_le(self.first);
        put_names(&mut content, &self.names);
        ENVELOPE.seal(VERSION, &content)
    }

    /// Whether `bytes` end within the head of a segment: a process was killed while it began the segment.
    pub(crate) fn is_incomplete(bytes: &[u8]) -> bool {
        ENVELOPE.is_incomplete(bytes)
    }

    /// Decodes the head at the start of `bytes`. Returns its length too, in bytes.
    ///
    /// # Errors
    /// The bytes are damaged, or a newer pyrotee wrote them.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), FormatError> {
        let unsealed = ENVELOPE.unseal(bytes)?;
        let mut fields = FieldReader(unsealed.content);
        let mut head = || {
            Some(Self {
                salt: fields.u64()?,
                first: fields.u64()?,
                names: read_names(&mut fields)?,
            })
        };
        Ok((head().ok_or(FormatError::Damaged)?, unsealed.len))
    }
}

fn put_names(content: &mut Vec<u8>, names: &Names) {
    content.put_u16_le(u16::try_from(names.len()).unwrap_or(u16::MAX));
    for (id, name) in names {
        content.put_u16_le(*id);
        put_short(content, name.as_bytes());
    }
}

fn read_names(fields: &mut FieldReader<'_>) -> Option<Names> {
    let count: TargetId = fields.u16()?;
    (0..count)
        .map(|_| Some((fields.u16()?, fields.text()?)))
        .collect()
}

/// The file name of the segment that begins with number `first`.
pub fn segment_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The file name of the quarantined segment that begins with number `first`.
pub fn quarantined_name(first: u64) -> String {
    format!("{first:020}{QUARANTINED}")
}

/// The number that the quarantined segment with this file name begins with, or zero if the name has none.
/// `None`: no quarantined segment has such a name.
pub fn quarantined_segment_of(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(QUARANTINED)?;
    Some(segment_of(&format!("{stem}{SUFFIX}")).unwrap_or(0))
}

/// The salt and the target names of a spool with these segment heads, in the order of their numbers. The
/// salt is that of the first head, else that of the cursors; `None`: there are neither.
pub(crate) fn salt_and_names(
    heads: &[&SegmentHead],
    cursors: Option<&Cursors>,
) -> (Option<u64>, Names) {
    let salt = heads.first().map(|head| head.salt);
    let mut names: Names = heads.iter().flat_map(|head| head.names.clone()).collect();
    let saved = cursors.iter().flat_map(|cursors| &cursors.targets);
    names.extend(saved.map(|saved| (saved.id, saved.name.clone())));
    (salt.or(cursors.map(|cursors| cursors.salt)), names)
}

/// All record numbers are below this limit, which no spool reaches, so they can be incremented without overflow.
const NUMBERS: u64 = 1 << 63;

/// The number that the segment with this file name begins with. `None`: no segment has such a name.
pub(crate) fn segment_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| digits.parse().ok()).flatten();
    number.filter(|number| *number < NUMBERS)
}
