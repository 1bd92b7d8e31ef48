//! The on-disk format, as drawn in the documentation of the crate. No function here does I/O.

mod clock_steps;
mod cursors;
mod envelope;
mod fields;
mod lives;
mod number_set;
mod record;
mod segment;

pub use clock_steps::{ClockSteps, is_clock_set, unix_seconds};
pub use cursors::{CURSOR_SLOTS, Cursors, SavedCursor};
pub use envelope::FormatError;
pub use lives::{Flight, LIVES_FILE, SavedLives};
pub use number_set::NumberSet;
pub use record::{Crc, RecordHead, SHORTEST_RECORD};
pub(crate) use record::{MAGIC, PREFIX_LEN, RecordPrefix};
pub use segment::{SegmentHead, quarantined_name, quarantined_segment_of, segment_name};
pub(crate) use segment::{VERSION, salt_and_names, segment_of};

use std::collections::BTreeMap;

/// Whether a file of this name belongs to a spool without being a segment: a cursor slot, or `lives`.
pub(crate) fn is_spool_file(name: &str) -> bool {
    name == LIVES_FILE || CURSOR_SLOTS.contains(&name)
}

/// The number of a target in this spool. The number stands for the same name as long as any file
/// mentions the target.
pub type TargetId = u16;

/// The names of targets by their numbers.
pub type Names = BTreeMap<TargetId, String>;
