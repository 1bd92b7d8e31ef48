//! Dead letters: profiles that a target rejected, kept with its answer, to be looked at and sent again;
//! and `pyrotee dead-letters`, which does that.
//!
//! The delivery tells of a refusal, `writer` puts it on disk, `store` keeps the directory within its
//! bound. A running relay answers for it at its `desk`; without one the commands look into the
//! directory themselves: `place` is either.

pub(crate) mod api;
mod command;
mod desk;
mod monitor;
mod place;
mod progress;
mod store;
mod table;
mod writer;

pub use command::{Args, run};
pub(crate) use desk::Desk;
pub(crate) use monitor::{Kept, Monitor, Stats};
pub(crate) use store::{Error, Id};
pub(crate) use writer::Writer;
