//! What a segment's head and a cursor slot begin with. The first sixteen bytes never change with
//! the version and have a checksum of their own: a flipped bit is no newer version.

use super::code::{Cut, Put, len32};

/// The version that this code writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;

/// Length of magic, version, checksum, length of the content and its checksum.
const PREFIX: usize = 24;

/// Why an envelope cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not what was written.
    Damaged,
    /// A later version of the format.
    Newer(u32),
}

/// `content` behind a prefix.
pub(super) fn seal(magic: [u8; 8], content: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(PREFIX + content.len());
    sealed.extend_from_slice(&magic);
    sealed.put_u32(VERSION);
    let crc = crc32fast::hash(&sealed);
    sealed.put_u32(crc);
    sealed.put_u32(len32(content.len()));
    sealed.put_u32(crc32fast::hash(content));
    sealed.extend_from_slice(content);
    sealed
}

/// The content, and how many bytes the envelope took.
pub(super) fn unseal(magic: [u8; 8], bytes: &[u8]) -> Result<(&[u8], usize), Fault> {
    let mut cut = Cut(bytes);
    let head = cut.bytes(12).ok_or(Fault::Damaged)?;
    let crc = cut.u32().ok_or(Fault::Damaged)?;
    if !head.starts_with(&magic) || crc32fast::hash(head) != crc {
        return Err(Fault::Damaged);
    }
    let version = Cut(head.get(8..).unwrap_or_default()).u32();
    match version {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Err(Fault::Newer(newer)),
        _ => return Err(Fault::Damaged),
    }
    let mut content = || {
        let len = cut.u32()?;
        let crc = cut.u32()?;
        let content = cut.bytes(usize::try_from(len).ok()?)?;
        (crc32fast::hash(content) == crc).then_some(content)
    };
    let content = content().ok_or(Fault::Damaged)?;
    Ok((content, PREFIX + content.len()))
}

/// A sealed envelope of a version that does not exist yet.
#[cfg(test)]
pub(crate) fn of_a_newer_version(mut sealed: Vec<u8>) -> Vec<u8> {
    sealed[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let crc = crc32fast::hash(&sealed[..12]);
    sealed[12..16].copy_from_slice(&crc.to_le_bytes());
    sealed
}
