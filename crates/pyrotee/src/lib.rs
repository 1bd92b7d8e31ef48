//! The binary's library: the command line, its commands, and the relay that `pyrotee run` starts.
//!
//! No crate depends on this one. It is the only crate that knows all others, the command line and the exporter of
//! metrics. `commands` has one file or folder for each command, `run` builds and runs the relay, `telemetry` fills
//! metrics and logs, `terminal` prints.

mod build_info;
pub mod cli;
mod commands;
mod run;
mod telemetry;
mod terminal;
