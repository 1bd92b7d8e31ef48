//! Sets of bytes, made by the compiler and asked with one look into a table: every byte of a query
//! and of a name is asked for several times, for every profile and target.

/// A set of ASCII characters, so that what is found of it, or before it, is whole in UTF-8.
#[derive(Debug)]
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// These bytes.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        Self([false; 256]).and(bytes)
    }

    /// ASCII letters and digits, and these.
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

    /// Where the first byte is that is in the set.
    pub(crate) fn first_in(&self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| self.contains(*byte))
    }

    /// Where the first byte is that is not in the set.
    pub(crate) fn first_not_in(&self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| !self.contains(*byte))
    }
}
