//! The backend that keeps records on disk, once for all targets, until each target has settled them.
//!
//! [`pyrotee_segments`] draws the files of the directory and says what they mean. This crate writes, syncs and removes
//! them.
//!
//! # In memory
//!
//! A record stays in memory, charged to the budget, until it is written. Then an index of 250 to 320 bytes
//! remains for each target that has not settled it; the index has its own limit. When the record is leased, it is
//! read back once for all targets that lease it at the same time, and charged to the budget again.
//!
//! # Opening
//!
//! A spool works from its start, with records in memory. Its writer thread opens the directory beside that, and tries
//! again as long as that fails. Records that are offered before have provisional numbers, from 2^62 on. When the
//! directory is open, all of these are lowered at once, to follow the numbers of earlier processes. No number of 2^62 or
//! more is ever written.
//!
//! # Lives
//!
//! The file `lives` is written in place, before a record is handed out, from the third process on after two that ended within a
//! minute of their start without closing the spool. Nothing depends on it but which record is suspected to end processes:
//! if the file is missing or damaged, none is. An earlier pyrotee leaves it alone.
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
mod lifecycle;
mod lives;
mod monitor;
mod open_spool;
mod opener;
mod read_trouble;
mod reader;
mod recovery;
mod removed;
mod replay;
mod segments;
mod settings;
mod shared;
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
pub use settings::{Fsync, Settings, TargetQueue};
