//! The binary's library: the command line and its commands.
//!
//! No crate depends on this one. It is the only crate that knows the command line. `commands` has one file or folder for
//! each command, `pyrotee-terminal` prints. The relay that `pyrotee run` starts is in `pyrotee-relay`.

pub mod cli;
mod commands;
#[cfg(test)]
mod tests;
