//! The content of a spool directory: the on-disk format, and code that reads and inspects the files.
//!
//! [`Storage`] is the directory. [`RecordHead`], [`SegmentHead`], [`Cursors`] and [`SavedLives`] are encoded and
//! decoded without I/O. [`Listing`] and [`SegmentFile`] read a directory and change nothing. The offline commands,
//! which open no spool, use [`inspect`].
//!
//! # On disk
//!
//! The spool is one directory. All numbers are little-endian. Files:
//!
//! ```text
//! lock                        locked while a process has the spool open
//! cursors.0 cursors.1         the cursor slots: how far every target is. The more recent whole slot counts. The
//!                             slot that was synced last is never overwritten next. Bytes of a longer earlier
//!                             content may follow the content of a slot
//! lives                       how often processes ended soon after their start, and which records were in flight
//! 00000000000000000042.log    a segment; its name is the lowest record number that may be in it
//! *.corrupt                   a quarantined segment: damaged, without pending records
//! ```
//!
//! Segment heads, cursor slots and the content of `lives` are *envelopes*. The layout of the first 16 bytes is the same
//! in all versions, so that an older pyrotee can refuse a newer version and does not take a flipped bit for one.
//! Segments have version 2. Cursor slots have version 2 if they contain unknown numbers or steps, else version 1. The
//! content of `lives` has version 1:
//!
//! ```text
//! envelope = magic [u8; 8] ("PYROTEES" | "PYROTEEC" | "PYROTEEL"), version u32, crc32 of these 12 bytes,
//!            length u32, crc32 of the content, content
//! segment  = envelope( salt u64, first u64, names ), record*
//! names    = count u16, ( id u16, length u16, name )*
//! cursors  = envelope( generation u64, salt u64, next u64, clean u8, count u16, cursor*,
//!                      count u32, ( start u64, end u64 )*     unknown numbers, since version 2
//!                      count u16, ( number u64, step i64 )* ) steps of the wall clock, since version 2
//! lives    = envelope( short u32, careful u8, count u32, flight*,   in flight
//!                      count u32, ( flight, lives u32 )* )          suspects, and how many processes each ended
//! flight   = target id u16, number u64
//! cursor   = id u16, length u16, name, last_seen u64 (seconds; of a removed target: when removed), horizon u64,
//!            count u32, ( start u64, end u64 )*      settled numbers
//!            count u32, number u64*                  in flight
//! record   = magic [u8; 4] (f0 "PyR"), head length u32, body length u64, body crc32, head crc32,
//!            head, body
//! head     = number u64, received u64 (ns since the epoch), surface u8, hops u8, flags u8,
//!            count u16, taker id u16*, length u32, query,
//!            [ length u32, content type ]      flags bit 0
//!            [ length u32, content encoding ]  flags bit 1
//!            [ count u8, ( length u16, name, length u16, value )* ]  flags bit 2: headers, since version 2
//!            [ length u32, tags ]              flags bit 3: the tags of the relay that captured the record
//! ```
//!
//! Readers ignore flags that they do not know, and bytes after the last field that they know. So bit 3 did not need a new
//! version: to an earlier reader of version 2 the record is one without these tags.
//!
//! In segments of version 1, no record has flags bit 2 or 3; the rest is the same. These segments are read, and unlinked
//! when they are settled, but never appended to or rewritten. Cursor slots of version 1 do not have the last two fields
//! of version 2.
//!
//! A number is *unknown* if it is above the horizon of all cursors and in the range of a segment that cannot be read:
//! there may be a record with this number, or none. If the segment is missing later, unknown numbers are not counted as
//! lost.
//!
//! A *step* is the number of nanoseconds by which the wall clock was set forward (back, if negative) while a process
//! ran, after the records below `number` were received. Within a process, ages are measured by the monotonic clock. A
//! new process has two possible times of receipt for a record: the time in its head, and this time plus all later
//! steps. The later of the two counts. If it is before 2020, the clock was not set, and the age counts from the start
//! of the process. The time in the head never changes, because it is part of the profile.
//!
//! The checksum of a head covers the lengths, the checksum of the body and the head. The salt of the spool is the
//! start value of both checksums of a record, so that a client cannot write bytes into a body that a resync
//! would take for a record.
//!
//! Record numbers grow, and no number is used twice. A record lists its *takers*: the targets that had queued and
//! not settled it when it was written. For each target a record is settled or pending. The cursor of a target
//! describes the records below its *horizon*: a record that is neither settled nor found in a segment is lost, and
//! counted. A record from the horizon on is pending for all of its takers. So the cursor of a removed target is kept
//! as long as a record lists the target. A target is removed if its `last_seen` is not the latest one. If all targets
//! are removed, a second cursor of the first one has the latest `last_seen`; readers use the first cursor of a target.
//!
//! Only the process that began a segment appends to it. Once every target has settled all records of a segment,
//! the cursors are saved and the segment is unlinked. A damaged segment is quarantined (renamed) instead.
//!
//! # What this crate does not do
//!
//! It starts no threads and uses no queues. `pyrotee-spool` decides what is written, synced and removed, and when.

mod directory;
mod format;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod inspect;
mod storage;
#[cfg(feature = "testing")]
pub mod testing;

pub use directory::{
    BadSlot, ListError, Listing, OnRead, ScannedRecord, ScannedSegment, SegmentFile,
    SegmentPosition, SegmentScan, foreign_file, read_record,
};
pub use format::{
    CURSOR_SLOTS, ClockSteps, Crc, Cursors, Flight, FormatError, LIVES_FILE, Names, NumberSet,
    RecordHead, SHORTEST_RECORD, SavedCursor, SavedLives, SegmentHead, TargetId, is_clock_set,
    quarantined_name, quarantined_segment_of, segment_name, unix_seconds,
};
pub use storage::{Disk, File, LockState, OnDemand, Space, Stat, Storage, append_all, read_all};
