//! Dead letters: profiles that a target rejected, kept on disk with the target's response, so that somebody can
//! look at them and send them again.
//!
//! A delivery reports a rejected record to [`pyrotee_delivery::DeadLetterSink`], a function that never waits. `writer`
//! hands the record to the writer thread. `opening` lets that thread open the directory once that is possible, and
//! `store` keeps the directory within its limit of bytes. `captured` is the format of the request file in a letter;
//! `pyrotee spool export` writes files of this format too.
//!
//! This crate serves nothing over HTTP and sends nothing. The admin listener and the commands do, with a [`Store`].

mod captured;
mod dead_letters;
mod opening;
mod store;
mod writer;

pub use captured::{ReadError, read as read_captured, write as write_captured};
pub use dead_letters::{DeadLetters, Monitor, NotOpen, Settings, Stats};
pub use opening::{Gate, Opening};
pub use store::{Cause, Error, Id, Letter, Size, Store};
pub use writer::Writer;
