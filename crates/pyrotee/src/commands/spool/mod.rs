//! `pyrotee spool …`: shows, checks, exports, sends and deletes the profiles in a spool.
//!
//! `stats`, `verify` and `export` only read, also while a relay uses the spool. `replay` and `purge` change the spool:
//! they lock the directory as a relay does, or ask the relay that uses it.

mod directory;
mod export;
mod purge;
mod queues;
mod replay;
mod stats;
mod verify;

use std::process::ExitCode;

use anyhow::anyhow;
use pyrotee_segments::inspect::InspectError;

/// Show, check, export, send or delete the profiles in a spool
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    Stats(stats::Args),
    Verify(verify::Args),
    Export(export::Args),
    Replay(replay::Args),
    Purge(purge::Args),
}

/// Runs a subcommand. The exit code is a failure without an error if the subcommand ran and printed damage, or the
/// number of profiles left.
///
/// # Errors
/// An argument or the spool cannot be used; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Stats(args) => stats::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify::run(args),
        Command::Export(args) => export::run(&args),
        Command::Replay(args) => replay::run(args).await,
        Command::Purge(args) => purge::run(args).await.map(|()| ExitCode::SUCCESS),
    }
}

/// Exit code of a command that ran; `all_done`: nothing is damaged and nothing is left.
fn exit_code(all_done: bool) -> ExitCode {
    match all_done {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Puts "failed to" before the text of an [`InspectError`], which requires it; other errors stay unchanged.
fn in_words(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<InspectError>() {
        Ok(error) => {
            let text = format!("failed to {error}");
            match std::error::Error::source(&error) {
                Some(source) => anyhow!("{text}: {source}"),
                None => anyhow!(text),
            }
        }
        Err(error) => error,
    }
}
