//! Reads fields, and writes fields of variable length. Fields of fixed length are written with [`bytes::BufMut`].

use bytes::{Buf, BufMut};

/// Appends `bytes` after their length as a `u16`. Bytes beyond 65,535 are left out.
pub(super) fn put_short(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    buffer.put_u16_le(len);
    buffer.extend(bytes.iter().take(usize::from(len)));
}

/// Reads fields from the start of a slice. A method returns `None` if the slice is too short.
pub(super) struct FieldReader<'a>(pub(super) &'a [u8]);

impl<'a> FieldReader<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        self.0.split_off(..len)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.0.try_get_u16_le().ok()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.0.try_get_u32_le().ok()
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.0.try_get_u64_le().ok()
    }

    /// Reads bytes after their length as a `u16`.
    pub(super) fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    /// Reads bytes after their length as a `u32`.
    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.bytes(usize::try_from(len).ok()?)
    }

    /// Reads UTF-8 text after its length as a `u16`.
    pub(super) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.short()?.to_vec()).ok()
    }
}

/// A length as it is stored. All lengths are bounded long before they are written.
pub(super) fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
