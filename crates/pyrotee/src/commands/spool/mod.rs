//! `pyrotee spool …`: what waits on disk, seen and moved by hand.
//!
//! `stats`, `verify` and `export` only look, also while a relay works. `replay` and `purge` change
//! something: they take the directory as a relay does, or ask the relay that has it.

mod asked;
mod export;
mod open;
mod place;
mod purge;
mod replay;
mod stats;
mod verify;

use anyhow::anyhow;
use pyrotee_spool::inspect::InspectError;

pub(crate) use place::Misused;

/// Look at what waits on disk, check it, take it out, send it elsewhere or lose it
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

/// How a command ended that could do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is as it should be.
    Well,
    /// It is not, as was printed.
    Badly,
}

/// Does as told and prints what comes of it.
///
/// # Errors
/// An argument cannot be used, or the spool cannot; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<Ended> {
    match args.command {
        Command::Stats(args) => stats::run(args).await.map(|()| Ended::Well),
        Command::Verify(args) => verify::run(args),
        Command::Export(args) => export::run(&args),
        Command::Replay(args) => replay::run(args).await,
        Command::Purge(args) => purge::run(args).await.map(|()| Ended::Well),
    }
}

/// The errors of the spool read after these words.
fn failed_to<T>(result: Result<T, InspectError>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let text = format!("failed to {error}");
        match std::error::Error::source(&error) {
            Some(source) => anyhow!("{text}: {source}"),
            None => anyhow!(text),
        }
    })
}
