//! The queue backend that keeps each record on disk, once for all targets, until every target has settled it.
//!
//! [`pyrotee_segments`] defines the files of the directory. This crate writes, syncs and removes these files.
//!
//! # In memory
//!
//! A record stays in memory, charged to the budget, until it is written. Then an index of 250 to 320 bytes
//! remains for each target that has not settled it; the index has its own limit. When the record is leased, it is
//! read back once for all targets that lease it at the same time, and charged to the budget again.
//!
//! # Opening
//!
//! A spool takes records from its start and keeps them in memory until the directory is open. Meanwhile the writer
//! thread tries to open the directory until an attempt succeeds. Records that are offered in this time get provisional
//! numbers, from 2^62 on. When the directory is open, all provisional numbers are lowered at once, so that they follow
//! the numbers that earlier processes gave out. No number of 2^62 or more is ever written.
//!
//! # Targets that join and leave
//!
//! Each name of a target has one queue and one cursor, with the same index, for the life of the process. The lists of
//! queues and cursors only grow: first the targets of this process, then those that only earlier processes had, then
//! those that join later. Records are offered to the queues of the list *in force*. A target that is not in this list
//! is removed, whether a reload or a start removed it: its cursor has a horizon, and the target is no taker of the
//! records from the horizon on. A target that joins or returns has settled all records that were not offered to it.
//!
//! # Lives
//!
//! The file `lives` counts processes in a row that ended within a minute of their start without closing the spool. It
//! is overwritten in place at each start and, after two such processes, before each record is handed out. Only the
//! search for a record that ends the process depends on this file: if the file is missing or damaged, no record is
//! suspected. An earlier pyrotee does not change the file.
//!
//! # What this crate does not do
//!
//! It does not validate records, does not repair bodies, and does not store the retry history of a record.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod backend;
mod control;
mod counters;
mod flight;
mod intake;
mod lifecycle;
mod lives;
mod monitor;
mod offer;
mod open_spool;
mod opener;
mod read_trouble;
mod reader;
mod recovery;
mod registry;
mod removed;
mod replay;
mod segments;
mod settings;
mod shared;
mod spool_queue;
mod spooled_record;
#[cfg(test)]
mod tests;
mod tracker;
mod unread;
mod unreadable;
mod wakeup;
mod writer;

pub use control::{Control, ReplayError};
pub use lifecycle::Opening;
pub use monitor::{Mode, Monitor, Stats};
pub use open_spool::{Closer, OpenSpool};
pub use removed::RemovedTarget;
pub use replay::{ReplayProgress, ReplayState};
pub use settings::{Fsync, Settings};
