//! Reads the files of a spool directory, and changes nothing.
//!
//! A relay may have the directory open: a file that the relay unlinks meanwhile is not an error, and the last segment
//! may end in an incomplete record.

mod checksums;
mod listing;
mod progress_file;
mod record;
mod scan;
mod segment;

pub use listing::{BadSlot, ListError, Listing, SegmentFile, foreign_file};
pub use progress_file::OnRead;
pub use record::{SegmentPosition, read_record};
pub use scan::{ScannedRecord, SegmentScan};
#[cfg(feature = "fuzzing")]
pub(crate) use scan::{SegmentScanner, head_of};
pub use segment::ScannedSegment;
