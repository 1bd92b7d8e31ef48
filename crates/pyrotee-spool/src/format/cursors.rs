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

/// Version 2: unknown numbers and steps of the wall clock. A slot without either is written in version 1.
const VERSION: u32 = 2;

/// The names of the two slots.
pub(crate) const CURSOR_SLOTS: [&str; 2] = ["cursors.0", "cursors.1"];

/// The content of a cursor slot: how far every target is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursors {
    /// Counts saves. The slot with the higher generation is the more recent one.
    pub(crate) generation: u64,
    pub(crate) salt: u64,
    /// The number of the next record when the cursors were saved.
    pub(crate) next: u64,
    /// Whether the spool was closed and nothing was written after these cursors.
    pub(crate) clean: bool,
    pub(crate) targets: Vec<SavedCursor>,
    /// Numbers in segments that could not be read: whether there is a record of such a number is not known.
    pub(crate) unknown: NumberSet,
    /// Steps of the wall clock after records that are still there.
    pub(crate) steps: ClockSteps,
}

/// How far one target is, as saved on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavedCursor {
    pub(crate) id: TargetId,
    pub(crate) name: String,
    /// When the cursors of a configured target were saved, or when the first process without a removed target started, in
    /// seconds since the epoch.
    pub(crate) last_seen: u64,
    /// The cursor says nothing about the records from this number on.
    pub(crate) horizon: u64,
    pub(crate) settled: NumberSet,
    /// Numbers of the records that were in flight.
    pub(crate) in_flight: Vec<u64>,
}

impl Cursors {
    pub(crate) fn encode(&self) -> Vec<u8> {
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
            // An earlier pyrotee can read it.
            return ENVELOPE.seal(1, &content);
        }
        put_numbers(&mut content, &self.unknown);
        self.steps.encode(&mut content);
        ENVELOPE.seal(VERSION, &content)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let unsealed = ENVELOPE.unseal(bytes)?;
        let mut fields = FieldReader(unsealed.content);
        Self::read(&mut fields, unsealed.version).ok_or(FormatError::Damaged)
    }

    /// Decodes what follows the checksums of a slot.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of_content(content: &[u8]) -> Option<Self> {
        Self::read(&mut FieldReader(content), VERSION)
    }

    /// The cursor of the target with this number and name.
    pub(crate) fn of_target(&self, id: TargetId, name: &str) -> Option<&SavedCursor> {
        let mut targets = self.targets.iter();
        targets.find(|saved| saved.id == id && saved.name == name)
    }

    /// When the cursors were saved, in seconds since the epoch: the targets that were last seen then were configured.
    pub(crate) fn last_seen(&self) -> Option<u64> {
        self.targets.iter().map(|saved| saved.last_seen).max()
    }

    /// The cursors of no target say anything about the records from this number on.
    pub(crate) fn horizon(&self) -> u64 {
        let horizons = self.targets.iter().map(|saved| saved.horizon);
        horizons.max().unwrap_or(0)
    }

    /// The most recent of `slots`, each with what the caller knows of it; the first if they are equal.
    pub(crate) fn latest<T>(slots: impl IntoIterator<Item = (T, Self)>) -> Option<(T, Self)> {
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
