//! Bytes on disk. Everything is little-endian, written and read by hand; nothing here does I/O.

mod code;
mod cursors;
mod envelope;
mod record;
mod segment;

pub(crate) use cursors::{CURSORS, Cursors, SavedCursor};
#[cfg(test)]
pub(crate) use envelope::of_a_newer_version;
pub(crate) use envelope::{Fault, VERSION};
pub(crate) use record::{Crc, FIXED, Lengths, MAGIC, RecordHead};
pub(crate) use segment::{SegmentHead, segment_name, segment_of};

use std::collections::BTreeMap;

/// A target's number in this spool; it stays with the name as long as any file mentions it.
pub(crate) type TargetId = u16;

/// The names behind the numbers.
pub(crate) type Names = BTreeMap<TargetId, String>;
