//! The binary's library: configuration, wiring, life cycle, admin listener, subcommands.
//!
//! Nothing depends on it. It is the only crate that knows all others, YAML, the command line and
//! the exporter of metrics.

mod admin;
mod admin_client;
mod api;
mod build_info;
mod captured;
pub mod cli;
pub mod config;
pub mod dead_letters;
mod generate;
pub mod healthcheck;
mod run;
pub mod send;
pub mod sink;
pub mod spool;
pub mod status;
mod telemetry;
mod terminal;
