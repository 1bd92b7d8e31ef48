//! The file `lives`: how often processes ended soon after their start, and which records were in flight then.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BufMut;

use super::TargetId;
use super::envelope::{EnvelopeKind, FormatError};
use super::fields::{FieldReader, len32};

const ENVELOPE: EnvelopeKind = EnvelopeKind {
    magic: *b"PYROTEEL",
    version: 1,
};

/// The name of the file `lives`.
pub const LIVES_FILE: &str = "lives";

/// A record in flight to a target: the number of the target and the number of the record.
pub type Flight = (TargetId, u64);

/// The content of the file `lives`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedLives {
    /// Processes in a row that ended soon after their start and without closing the spool, including the process that
    /// wrote the file.
    pub short: u32,
    /// Whether the process was careful: at most one record was in flight at a time.
    pub careful: bool,
    /// The records that were in flight.
    pub in_flight: BTreeSet<Flight>,
    /// Records that were alone in flight when careful processes ended, and the number of these processes.
    pub suspects: BTreeMap<Flight, u32>,
}

impl SavedLives {
    /// Encodes the content of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut content = Vec::new();
        content.put_u32_le(self.short);
        content.put_u8(u8::from(self.careful));
        content.put_u32_le(len32(self.in_flight.len()));
        for (target, number) in &self.in_flight {
            content.put_u16_le(*target);
            content.put_u64_le(*number);
        }
        content.put_u32_le(len32(self.suspects.len()));
        for ((target, number), ended) in &self.suspects {
            content.put_u16_le(*target);
            content.put_u64_le(*number);
            content.put_u32_le(*ended);
        }
        ENVELOPE.seal(ENVELOPE.version, &content)
    }

    /// Decodes the content of the file. Bytes after it are ignored.
    ///
    /// # Errors
    /// The bytes are damaged, or a newer pyrotee wrote them.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let unsealed = ENVELOPE.unseal(bytes)?;
        let mut fields = FieldReader(unsealed.content);
        Self::read(&mut fields).ok_or(FormatError::Damaged)
    }

    fn read(fields: &mut FieldReader<'_>) -> Option<Self> {
        let mut lives = Self {
            short: fields.u32()?,
            careful: fields.u8()? != 0,
            ..Self::default()
        };
        for _ in 0..fields.u32()? {
            lives.in_flight.insert((fields.u16()?, fields.u64()?));
        }
        for _ in 0..fields.u32()? {
            let flight = (fields.u16()?, fields.u64()?);
            lives.suspects.insert(flight, fields.u32()?);
        }
        Some(lives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_no_part_of_it_is() {
        let lives = SavedLives {
            short: 4,
            careful: true,
            in_flight: [(0, 7), (1, u64::MAX)].into(),
            suspects: [((1, 8), 2)].into(),
        };
        let mut bytes = lives.encode();
        assert_eq!(SavedLives::decode(&bytes), Ok(lives));
        for len in 0..bytes.len() {
            let damaged = SavedLives::decode(&bytes[..len]);
            assert_eq!(damaged, Err(FormatError::Damaged), "{len}");
        }
        // The end of a longer earlier content.
        bytes.extend([0; 30]);
        assert!(SavedLives::decode(&bytes).is_ok());
    }
}
