//! Sets of bytes as lookup tables that the compiler builds. Each byte of a query and of a name is
//! tested several times for every profile and target, so a test is one table lookup.

/// A set of ASCII characters. A text can be cut at each member of the set: no member is part of a
/// longer UTF-8 sequence.
#[derive(Debug)]
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// The set of these bytes.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        Self([false; 256]).and(bytes)
    }

    /// The set of ASCII letters, digits and these bytes.
    #[expect(clippy::indexing_slicing, reason = "a fault does not compile")]
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut byte = 0u8;
        while byte < 128 {
            table[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        Self(table).and(others)
    }

    #[expect(clippy::indexing_slicing, reason = "a fault does not compile")]
    const fn and(mut self, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            self.0[bytes[at] as usize] = true;
            at += 1;
        }
        self
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).is_some_and(|is_in| *is_in)
    }

    /// The position of the first byte that is in the set.
    pub(crate) fn first_in(&self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| self.contains(*byte))
    }

    /// The position of the first byte that is not in the set.
    pub(crate) fn first_not_in(&self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| !self.contains(*byte))
    }
}
