//! Checksums of any range of a file, each in the time of reading two blocks.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crc32fast::Hasher;

use crate::storage::{File, read_up_to};

/// Bytes between two checksums that are kept.
const BLOCK: usize = 1_024;

/// Bytes that are read at once.
const BLOCKS_AT_ONCE: usize = 64;

/// For each block of a file, the checksum of all bytes before it. The checksums are computed up to the last range that
/// was requested, and kept: so the file is read once as a whole, however many ranges are requested.
#[derive(Debug)]
pub(super) struct PrefixChecksums {
    file: Arc<dyn File>,
    /// Length of the file, in bytes.
    len: u64,
    /// For each block, the checksum of all bytes before it.
    before: Vec<u32>,
}

impl PrefixChecksums {
    pub(super) fn new(file: Arc<dyn File>, len: u64) -> Self {
        Self {
            file,
            len,
            before: vec![0],
        }
    }

    /// The checksum of these bytes, without a salt. `None`: the file ends before the range does.
    pub(super) fn of(&mut self, bytes: Range<u64>) -> io::Result<Option<u32>> {
        if bytes.end > self.len {
            return Ok(None);
        }
        let (Some(start), Some(end)) = (self.before(bytes.start)?, self.before(bytes.end)?) else {
            return Ok(None);
        };
        // checksum(0..end) = shift(checksum(0..start), end - start) xor checksum(start..end).
        let mut shifted = Hasher::new_with_initial(start);
        shifted.combine(&Hasher::new_with_initial_len(0, bytes.end - bytes.start));
        Ok(Some(shifted.finalize() ^ end))
    }

    /// The checksum of all bytes before `offset`. `None`: the file ends before `offset`.
    fn before(&mut self, offset: u64) -> io::Result<Option<u32>> {
        let block = offset / BLOCK as u64;
        while self.before.len() as u64 <= block {
            if !self.read_on()? {
                return Ok(None);
            }
        }
        let index = usize::try_from(block).unwrap_or(usize::MAX);
        let Some(before) = self.before.get(index) else {
            return Ok(None);
        };
        let mut rest = vec![0; usize::try_from(offset % BLOCK as u64).unwrap_or_default()];
        if read_up_to(&*self.file, block * BLOCK as u64, &mut rest)? < rest.len() {
            return Ok(None);
        }
        let mut hasher = Hasher::new_with_initial(*before);
        hasher.update(&rest);
        Ok(Some(hasher.finalize()))
    }

    /// Reads more blocks. `false`: the file has no further whole block.
    fn read_on(&mut self) -> io::Result<bool> {
        let mut window = vec![0; BLOCKS_AT_ONCE * BLOCK];
        let last = self.before.last().copied().unwrap_or_default();
        let at = ((self.before.len() - 1) * BLOCK) as u64;
        let filled = read_up_to(&*self.file, at, &mut window)?;
        let mut hasher = Hasher::new_with_initial(last);
        let blocks = window.get(..filled).unwrap_or_default();
        for block in blocks.chunks_exact(BLOCK) {
            hasher.update(block);
            self.before.push(hasher.clone().finalize());
        }
        Ok(filled >= BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_checksum_of_every_part_is_that_of_its_bytes() {
        let bytes: Vec<_> = (0..300_000_u32).flat_map(|it| it.to_le_bytes()).collect();
        let bytes = &bytes[..200_011];
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut checksums = PrefixChecksums::new(Arc::new(file), bytes.len() as u64);
        let parts = [
            0..0,
            5..9,
            0..1_024,
            1_000..70_000,
            3..200_011,
            150_000..200_011,
            1..2,
        ];
        for part in parts {
            let expected = crc32fast::hash(&bytes[part.clone()]);
            let part = part.start as u64..part.end as u64;
            assert_eq!(
                checksums.of(part.clone()).unwrap(),
                Some(expected),
                "{part:?}"
            );
        }
        assert_eq!(checksums.of(5..200_012).unwrap(), None);
    }
}
