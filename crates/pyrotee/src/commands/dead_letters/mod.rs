//! `pyrotee dead-letters …`: looks at profiles that targets rejected, sends them again, or removes them.
//!
//! `place` finds the letters: at a running relay, or in a directory without one.

mod command;
mod place;
mod table;

pub(crate) use command::{Args, run};
