//! The commands of `pyrotee`, but for `run`. Each has its arguments in `Args`, with the text of its `--help`, and a
//! function `run` that does it and prints.

pub(crate) mod check;
pub(crate) mod dead_letters;
mod digest;
pub(crate) mod generate;
pub(crate) mod healthcheck;
mod relay;
pub(crate) mod send;
pub(crate) mod sink;
pub(crate) mod spool;
pub(crate) mod status;
