//! The commands of `pyrotee` except `run`. Each has a type `Args` with its arguments and the text of its `--help`, and
//! a function `run` that performs the command and prints the result.

pub(crate) mod check;
pub(crate) mod dead_letters;
pub(crate) mod generate;
pub(crate) mod healthcheck;
mod relay;
pub(crate) mod reload;
pub(crate) mod runbook;
pub(crate) mod scrape;
pub(crate) mod send;
pub(crate) mod shared;
pub(crate) mod sink;
pub(crate) mod spool;
pub(crate) mod status;
mod tls_args;
mod usage_error;
mod watch;

pub(crate) use usage_error::{UsageError, configured_target};
