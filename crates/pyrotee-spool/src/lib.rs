//! The backend that keeps records on disk, once for all targets, until each target is done with them.
//!
//! # On disk
//!
//! One directory. All numbers are little-endian. Files:
//!
//! ```text
//! lock                        locked while a process uses the spool
//! cursors.0 cursors.1         how far every target is; the younger whole one counts. What was synced last
//!                             is never overwritten next. Behind a slot's content may lie an older one's
//! 00000000000000000042.log    a segment; its name is the lowest record number that may be in it
//! *.corrupt                   a damaged segment in which nothing was pending any more
//! ```
//!
//! Segment heads and cursor slots are *envelopes*. The first 16 bytes of one never change, so that a
//! version that does not know the rest can say so, and a flipped bit is not taken for a later version:
//!
//! ```text
//! envelope = magic [u8; 8] ("PYROTEES" | "PYROTEEC"), version u32, crc32 of these 12 bytes,
//!            length u32, crc32 of the content, content
//! segment  = envelope( salt u64, first u64, names ), record*
//! names    = count u16, ( id u16, length u16, name )*
//! cursors  = envelope( generation u64, salt u64, next u64, clean u8, count u16, cursor* )
//! cursor   = id u16, length u16, name, last_seen u64 (seconds), horizon u64,
//!            count u32, ( start u64, end u64 )*      settled numbers
//!            count u32, number u64*                  in flight
//! record   = magic [u8; 4] (f0 "PyR"), head length u32, body length u64, body crc32, head crc32,
//!            head, body
//! head     = number u64, received u64 (ns since the epoch), surface u8, hops u8, flags u8,
//!            count u16, taker id u16*, length u32, query,
//!            [ length u32, content type ]      flags bit 0
//!            [ length u32, content encoding ]  flags bit 1
//! ```
//!
//! The head's checksum covers the lengths, the body's checksum and the head. Both checksums of a record start
//! from the spool's salt: a client cannot write into a body what a resync would take for a record.
//!
//! Record numbers grow and are never given twice. A record lists the targets that had taken and not
//! settled it when it was written. For each target every number is *settled* or pending; a number below
//! the cursor's horizon that is neither settled nor found in a segment is lost, and counted. What lies above
//! the horizon is pending for whoever is listed; so the cursor of a target that has left the
//! configuration is kept as long as a record lists it.
//!
//! A segment belongs to the process that began it. It is unlinked, after the cursors were saved, once
//! every target has settled all of it; if it was found damaged it is renamed instead.
//!
//! # In memory
//!
//! A record stays in memory, charged to the budget, until it is written. Then an index of 250 to
//! 320 bytes for each target that wants it is left, which has a limit of its own. When it is leased the
//! record is read back, once for all targets that lease it at the same time, and charged again.
//!
//! # What it does not do
//!
//! It does not judge what it is given, does not repair bodies, and keeps nothing of a record's tries.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod backend;
mod bell;
mod book;
mod control;
mod counters;
mod entry;
mod format;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod inspect;
mod monitor;
mod reader;
mod recovery;
mod replay;
mod segments;
mod settings;
mod settled;
mod shared;
mod spool;
mod storage;
#[cfg(test)]
mod tests;
mod writer;

pub use control::{Control, Replay, ReplayError, ReplayState};
pub use monitor::{Mode, Monitor, Stats};
pub use settings::{Fsync, OpenError, Settings, Target};
pub use spool::{Keeper, Spool};
