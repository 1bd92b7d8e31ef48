//! The stamp at the start of a body, which makes the body unique and lets a sink check that the body is whole.

/// The first bytes of a body: its number, a checksum and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) number: u64,
    /// Checksum of all bytes after the stamp.
    pub(super) check: u32,
    /// Length of the body in bytes, the stamp included.
    pub(super) length: u32,
}

impl Stamp {
    pub(crate) const LENGTH: usize = 16;

    /// Reads a stamp; `None` if `bytes` is shorter than a stamp.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (check, rest) = rest.split_first_chunk()?;
        let (length, _) = rest.split_first_chunk()?;
        Some(Self {
            number: u64::from_le_bytes(*number),
            check: u32::from_le_bytes(*check),
            length: u32::from_le_bytes(*length),
        })
    }
}

/// Bodies of one size that differ only in their stamps, so that making a body costs almost nothing.
#[derive(Debug)]
pub(crate) struct Bodies {
    rest: Vec<u8>,
    check: u32,
    length: u32,
}

impl Bodies {
    /// Bodies of `size` bytes; with a size below the length of a stamp, empty bodies.
    pub(crate) fn new(size: usize) -> Self {
        // Random bytes, because profiles are not compressible either; the same in every run.
        let mut random = fastrand::Rng::with_seed(size as u64);
        let rest: Vec<u8> = match size.checked_sub(Stamp::LENGTH) {
            Some(rest) => std::iter::repeat_with(|| random.u8(..))
                .take(rest)
                .collect(),
            None => Vec::new(),
        };
        let length = if size < Stamp::LENGTH { 0 } else { size };
        Self {
            check: crc32fast::hash(&rest),
            rest,
            length: u32::try_from(length).expect("a profile has less than 4 GiB"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length as usize
    }

    /// The stamp of the body with this number; empty for empty bodies.
    pub(crate) fn stamp(&self, number: u64) -> Vec<u8> {
        if self.length == 0 {
            return Vec::new();
        }
        let parts: [&[u8]; 3] = [
            &number.to_le_bytes(),
            &self.check.to_le_bytes(),
            &self.length.to_le_bytes(),
        ];
        parts.concat()
    }

    /// All bytes after the stamp.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stamped_is_read_again() {
        let stamp = Stamp::read(&Bodies::new(100).stamp(42)).unwrap();
        assert_eq!((stamp.number, stamp.length), (42, 100));
    }

    #[test]
    fn a_body_that_is_too_small_for_a_stamp_is_empty() {
        let bodies = Bodies::new(3);
        assert_eq!(
            (bodies.len(), bodies.stamp(1), bodies.rest()),
            (0, vec![], &[][..])
        );
    }
}
