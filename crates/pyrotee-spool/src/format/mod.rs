//! The on-disk format, as drawn in the documentation of the crate. No function here does I/O.

mod clock_steps;
mod cursors;
mod envelope;
mod fields;
mod lives;
mod number_set;
mod record;
mod segment;

pub(crate) use clock_steps::{ClockSteps, is_set, seconds};
pub(crate) use cursors::{CURSOR_SLOTS, Cursors, SavedCursor};
pub(crate) use envelope::FormatError;
#[cfg(test)]
pub(crate) use envelope::of_version;
pub(crate) use lives::{Flight, LIVES_FILE, SavedLives};
pub(crate) use number_set::NumberSet;
pub(crate) use record::{Crc, MAGIC, PREFIX_LEN, RecordHead, RecordPrefix, SHORTEST};
pub(crate) use segment::{
    SegmentHead, VERSION, quarantined_name, quarantined_segment_of, salt_and_names, segment_name,
    segment_of,
};

use std::collections::BTreeMap;

/// Whether a file of this name belongs to a spool, beside its segments.
pub(crate) fn is_spool_file(name: &str) -> bool {
    name == LIVES_FILE || CURSOR_SLOTS.contains(&name)
}

/// The number of a target in this spool. It stands for the same name as long as any file mentions it.
pub(crate) type TargetId = u16;

/// The names of targets by their numbers.
pub(crate) type Names = BTreeMap<TargetId, String>;
