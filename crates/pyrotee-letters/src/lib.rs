//! Dead letters: profiles that a target rejected, kept on disk with the target's response, so that somebody can
//! look at them and send them again.
//!
//! A delivery reports a rejected record to [`pyrotee_delivery::DeadLetterSink`], a function that never waits. `writer`
//! hands the record to a thread of its own, `opening` has that thread open the directory once that is possible, and `store`
//! keeps the directory within its bound. `captured` is the
//! format of the request file in a letter; `pyrotee spool export` writes the same format.
//!
//! What this crate does not do: it serves nothing over HTTP and sends nothing. The admin listener and the
//! commands do that with a [`Store`].

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
