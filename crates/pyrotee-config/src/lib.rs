//! Configuration: from YAML, environment and flags to settings with nothing left to check.
//!
//! The way of a value: `yaml` reads the file into a small tree with line numbers, `file` checks
//! its shape against `schema` and substitutes variables, figment lays environment and flags over
//! it, and `sections` types what came out. Every scalar stays text until that last step, so that
//! `tenant-id: 404` is a text and a fault can say where its value was written.
//!
//! Faults are collected, never returned one by one: whoever repairs a configuration sees all that
//! is wrong with it. A fault's text holds no secret, whichever key a secret was put under by the
//! schema; see `reader` for what may be shown.
//!
//! What this module does not do: open sockets, resolve names, read the real environment except in
//! [`Sources::of_process`], or print.

mod env;
mod expand;
mod faults;
mod file;
mod layers;
mod listen;
mod load;
mod reader;
mod render;
mod schema;
mod sections;
mod settings;
mod values;
mod warnings;
mod yaml;

#[cfg(test)]
mod tests;

/// The variable that names the file, for every command that reads one.
pub const FILE_VARIABLE: &str = "PYROTEE_CONFIG";

pub use faults::{Fault, Faults};
pub use load::{Flags, Sources, load};
pub use settings::{
    Config, Credentials, DeadLetters, Duplicates, FsyncPolicy, LocalWrites, Log, LogFormat,
    LogLevel, OnAmbiguous, OnFull, RemoteWrite, Spool, Target, Tee, TeeOn, Upstream,
};
