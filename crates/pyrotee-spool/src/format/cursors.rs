//! The cursor slots.

use super::TargetId;
use super::code::{Cut, Put, len32};
use super::envelope::{Fault, seal, unseal};
use crate::settled::Settled;

const MAGIC: [u8; 8] = *b"PYROTEEC";

/// The two slots, written in turn.
pub(crate) const CURSORS: [&str; 2] = ["cursors.0", "cursors.1"];

/// How far every target is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursors {
    /// The slot with the higher one is the younger.
    pub(crate) generation: u64,
    pub(crate) salt: u64,
    /// The number of the next record.
    pub(crate) next: u64,
    /// Nothing was written after this.
    pub(crate) clean: bool,
    pub(crate) targets: Vec<SavedCursor>,
}

/// How far one target is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavedCursor {
    pub(crate) id: TargetId,
    pub(crate) name: String,
    /// When it was last part of the configuration, in seconds since the epoch.
    pub(crate) last_seen: u64,
    /// Nothing is said about this number and those above.
    pub(crate) horizon: u64,
    pub(crate) settled: Settled,
    /// What was being delivered.
    pub(crate) in_flight: Vec<u64>,
}

impl Cursors {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut content = Vec::new();
        content.put_u64(self.generation);
        content.put_u64(self.salt);
        content.put_u64(self.next);
        content.put_u8(u8::from(self.clean));
        content.put_u16(u16::try_from(self.targets.len()).unwrap_or(u16::MAX));
        for target in &self.targets {
            content.put_u16(target.id);
            content.put_short(target.name.as_bytes());
            content.put_u64(target.last_seen);
            content.put_u64(target.horizon);
            content.put_u32(len32(target.settled.len()));
            for range in target.settled.ranges() {
                content.put_u64(range.start);
                content.put_u64(range.end);
            }
            content.put_u32(len32(target.in_flight.len()));
            for number in &target.in_flight {
                content.put_u64(*number);
            }
        }
        seal(MAGIC, &content)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (content, _) = unseal(MAGIC, bytes)?;
        Self::cut(&mut Cut(content)).ok_or(Fault::Damaged)
    }

    /// What a slot says whose checksums fit.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of_content(content: &[u8]) -> Option<Self> {
        Self::cut(&mut Cut(content))
    }

    fn cut(cut: &mut Cut<'_>) -> Option<Self> {
        let mut cursors = Self {
            generation: cut.u64()?,
            salt: cut.u64()?,
            next: cut.u64()?,
            clean: cut.u8()? != 0,
            targets: Vec::new(),
        };
        for _ in 0..cut.u16()? {
            let mut target = SavedCursor {
                id: cut.u16()?,
                name: cut.text()?,
                last_seen: cut.u64()?,
                horizon: cut.u64()?,
                ..SavedCursor::default()
            };
            for _ in 0..cut.u32()? {
                target.settled.insert(cut.u64()?..cut.u64()?);
            }
            for _ in 0..cut.u32()? {
                target.in_flight.push(cut.u64()?);
            }
            cursors.targets.push(target);
        }
        Some(cursors)
    }
}
