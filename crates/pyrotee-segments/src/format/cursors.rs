//! The cursor slots: two files that are overwritten in turn.

use std::cmp::Reverse;

use bytes::BufMut;

use super::TargetId;
use super::clock_steps::ClockSteps;
use super::envelope::{EnvelopeKind, FormatError};
use super::fields::{FieldReader, len32, put_short};
use super::number_set::NumberSet;

const ENVELOPE: EnvelopeKind = EnvelopeKind {
    magic: *b"PYROTEEC",
    version: VERSION,
};

/// Version 2 adds unknown numbers and steps of the wall clock. A slot with neither is written in version 1.
const VERSION: u32 = 2;

/// The names of the two slots.
pub const CURSOR_SLOTS: [&str; 2] = ["cursors.0", "cursors.1"];

/// The content of a cursor slot: how far every target is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursors {
    /// Counts saves. The slot with the higher generation is the more recent one.
    pub generation: u64,
    /// Start value of the checksums of records; see [`Crc`](super::Crc).
    pub salt: u64,
    /// The number of the next record when the cursors were saved.
    pub next: u64,
    /// Whether the spool was closed and nothing was written after these cursors.
    pub clean: bool,
    /// One cursor per target that is configured or that a record lists. If no target is configured, the first target
    /// has a second cursor, whose only meaning is its `last_seen`: when the cursors were saved.
    pub targets: Vec<SavedCursor>,
    /// Numbers in segments that could not be read: it is not known whether there are records with these numbers.
    pub unknown: NumberSet,
    /// Steps of the wall clock after the receipt of records that are still in the spool.
    pub steps: ClockSteps,
}

/// How far one target is, as saved on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedCursor {
    /// The number of the target.
    pub id: TargetId,
    /// The name of the target.
    pub name: String,
    /// In seconds since the epoch: for a configured target, when the cursors were saved; for a removed target, when a
    /// reload removed it, or when the first process started that no longer had the target in its configuration.
    pub last_seen: u64,
    /// The cursor describes only records below this number.
    pub horizon: u64,
    /// Numbers of the records that the target has settled or never had.
    pub settled: NumberSet,
    /// Numbers of the records that were in flight.
    pub in_flight: Vec<u64>,
}

impl Cursors {
    /// Encodes the content of a slot.
    pub fn encode(&self) -> Vec<u8> {
        let mut content = Vec::new();
        content.put_u64_le(self.generation);
        content.put_u64_le(self.salt);
        content.put_u64_le(self.next);
        content.put_u8(u8::from(self.clean));
        content.put_u16_le(u16::try_from(self.targets.len()).unwrap_or(u16::MAX));
        for target in &self.targets {
            content.put_u16_le(target.id);
            put_short(&mut content, target.name.as_bytes());
            content.put_u64_le(target.last_seen);
            content.put_u64_le(target.horizon);
            put_numbers(&mut content, &target.settled);
            content.put_u32_le(len32(target.in_flight.len()));
            for number in &target.in_flight {
                content.put_u64_le(*number);
            }
        }
        if self.unknown.is_empty() && self.steps.is_empty() {
            // A pyrotee that reads only version 1 can read this slot.
            return ENVELOPE.seal(1, &content);
        }
        put_numbers(&mut content, &self.unknown);
        self.steps.encode(&mut content);
        ENVELOPE.seal(VERSION, &content)
    }

    /// Decodes the content of a slot. Bytes after it are ignored.
    ///
    /// # Errors
    /// The bytes are damaged, or a newer pyrotee wrote them.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let unsealed = ENVELOPE.unseal(bytes)?;
        let mut fields = FieldReader(unsealed.content);
        Self::read(&mut fields, unsealed.version).ok_or(FormatError::Damaged)
    }

    /// Decodes the content of a slot, without its envelope.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of_content(content: &[u8]) -> Option<Self> {
        Self::read(&mut FieldReader(content), VERSION)
    }

    /// The cursor of the target with this number and name.
    pub fn of_target(&self, id: TargetId, name: &str) -> Option<&SavedCursor> {
        let mut targets = self.targets.iter();
        targets.find(|saved| saved.id == id && saved.name == name)
    }

    /// When the cursors were saved, in seconds since the epoch. The targets with this `last_seen` were configured then.
    /// `None`: there is no cursor.
    pub fn last_seen(&self) -> Option<u64> {
        self.targets.iter().map(|saved| saved.last_seen).max()
    }

    /// The highest horizon: no cursor describes the records from this number on.
    pub fn horizon(&self) -> u64 {
        let horizons = self.targets.iter().map(|saved| saved.horizon);
        horizons.max().unwrap_or(0)
    }

    /// The most recent of `slots`, with the caller's value for it; the first of slots that are equally recent.
    pub fn latest<T>(slots: impl IntoIterator<Item = (T, Self)>) -> Option<(T, Self)> {
        let generation = |(_, cursors): &(T, Self)| Reverse(cursors.generation);
        slots.into_iter().min_by_key(generation)
    }

    fn read(fields: &mut FieldReader<'_>, version: u32) -> Option<Self> {
        let mut cursors = Self {
            generation: fields.u64()?,
            salt: fields.u64()?,
            next: fields.u64()?,
            clean: fields.u8()? != 0,
            ..Self::default()
        };
        for _ in 0..fields.u16()? {
            let mut target = SavedCursor {
                id: fields.u16()?,
                name: fields.text()?,
                last_seen: fields.u64()?,
                horizon: fields.u64()?,
                ..SavedCursor::default()
            };
            target.settled = numbers(fields)?;
            for _ in 0..fields.u32()? {
                target.in_flight.push(fields.u64()?);
            }
            cursors.targets.push(target);
        }
        if version >= 2 {
            cursors.unknown = numbers(fields)?;
            cursors.steps = ClockSteps::read(fields)?;
        }
        Some(cursors)
    }
}

fn put_numbers(content: &mut Vec<u8>, numbers: &NumberSet) {
    content.put_u32_le(len32(numbers.len()));
    for range in numbers.ranges() {
        content.put_u64_le(range.start);
        content.put_u64_le(range.end);
    }
}

fn numbers(fields: &mut FieldReader<'_>) -> Option<NumberSet> {
    let mut numbers = NumberSet::default();
    for _ in 0..fields.u32()? {
        numbers.insert(fields.u64()?..fields.u64()?);
    }
    Some(numbers)
}
