//! Dead letters: profiles that a target rejected, kept with its answer, to be looked at and sent again.
//!
//! The delivery tells of a refusal, `writer` puts it on disk, `store` keeps the directory within its
//! bound.

mod monitor;
#[expect(dead_code, reason = "commands are about to look at letters")]
mod store;
mod writer;

pub(crate) use monitor::{Kept, Monitor, Stats};
pub(crate) use writer::Writer;
