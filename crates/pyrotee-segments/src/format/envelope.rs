//! The envelope: the versioned frame of a segment head, a cursor slot and the content of `lives`. The layout of its
//! first 16 bytes is the same in all versions. These bytes have their own checksum, so that a flipped bit is not taken
//! for a newer version.

use bytes::BufMut;

use super::fields::{FieldReader, len32};

/// Magic and version of the envelopes of one kind of file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvelopeKind {
    pub(super) magic: [u8; 8],
    /// The newest version of the format that this code writes and reads. It reads all earlier versions, too.
    pub(crate) version: u32,
}

/// A decoded envelope.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsealed<'a> {
    pub(super) version: u32,
    pub(super) content: &'a [u8],
    /// Length of the envelope with its content, in bytes.
    pub(super) len: usize,
}

/// Length of an envelope without its content: magic, version, checksum, length and checksum of the content.
const PREFIX_LEN: usize = 24;

/// Why a segment head, a cursor slot or the content of `lives` cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatError {
    /// The bytes are not those that were written.
    Damaged,
    /// A newer pyrotee wrote the bytes, in this version of the format.
    Newer(u32),
}

impl EnvelopeKind {
    /// Puts `content`, which has this version of the format, into an envelope.
    pub(super) fn seal(self, version: u32, content: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(PREFIX_LEN + content.len());
        sealed.extend_from_slice(&self.magic);
        sealed.put_u32_le(version);
        let crc = crc32fast::hash(&sealed);
        sealed.put_u32_le(crc);
        sealed.put_u32_le(len32(content.len()));
        sealed.put_u32_le(crc32fast::hash(content));
        sealed.extend_from_slice(content);
        sealed
    }

    /// Whether `bytes` are an envelope that is cut off before the end of its content: a process was killed while it
    /// wrote the envelope.
    pub(super) fn is_incomplete(self, bytes: &[u8]) -> bool {
        let magic = bytes
            .iter()
            .zip(&self.magic)
            .all(|(byte, magic)| byte == magic);
        let mut fields = FieldReader(bytes);
        let mut len = || {
            let head = fields.bytes(12)?;
            let crc = fields.u32()?;
            let len = fields.u32()?;
            Some((crc32fast::hash(head) == crc).then_some(PREFIX_LEN as u64 + u64::from(len)))
        };
        match len() {
            // The bytes end before the field with the length of the content.
            None => magic,
            Some(Some(len)) => magic && (bytes.len() as u64) < len,
            Some(None) => false,
        }
    }

    /// Opens the envelope at the start of `bytes`.
    pub(super) fn unseal(self, bytes: &[u8]) -> Result<Unsealed<'_>, FormatError> {
        let mut fields = FieldReader(bytes);
        let head = fields.bytes(12).ok_or(FormatError::Damaged)?;
        let crc = fields.u32().ok_or(FormatError::Damaged)?;
        if !head.starts_with(&self.magic) || crc32fast::hash(head) != crc {
            return Err(FormatError::Damaged);
        }
        let version = match FieldReader(head.get(8..).unwrap_or_default()).u32() {
            Some(newer) if newer > self.version => return Err(FormatError::Newer(newer)),
            None | Some(0) => return Err(FormatError::Damaged),
            Some(version) => version,
        };
        let mut content = || {
            let len = fields.u32()?;
            let crc = fields.u32()?;
            let content = fields.bytes(usize::try_from(len).ok()?)?;
            (crc32fast::hash(content) == crc).then_some(content)
        };
        let content = content().ok_or(FormatError::Damaged)?;
        Ok(Unsealed {
            version,
            content,
            len: PREFIX_LEN + content.len(),
        })
    }
}
