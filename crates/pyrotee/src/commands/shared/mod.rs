//! `pyrotee shared …`: shows, checks, empties and deletes the streams of the backlog that relays share on NATS.
//!
//! `list`, `check` and `delete` connect to NATS themselves, with the configuration of a relay; `purge` asks a running relay,
//! which counts the profiles.

#[cfg(feature = "jetstream")]
mod streams;

use std::path::PathBuf;
use std::process::ExitCode;

use pyrotee_terminal::{print, profiles, visible};

use super::relay::RelayArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee shared list --config pyrotee.yaml
      The streams of shared.prefix, with the profiles that wait in each.

  pyrotee shared check --config pyrotee.yaml
      Whether the servers can be reached and used, and whether each stream is as the
      relay needs it. Nothing is changed. A fault has the exit code 1.

  pyrotee shared purge central
      The running relay deletes the profiles of a target that wait in its memory and
      in the stream, for all relays, and counts them as dropped by `admin`.
      A relay with an admin-token requires it.

  pyrotee shared delete pyrotee-old --config pyrotee.yaml --yes
      Deletes a stream, with the profiles in it, whose target has left the
      configuration. No relay ever deletes a stream.

Exit codes: 0 done, 1 NATS or the relay does not respond, or the check found a fault, 2 the
command line or the configuration is wrong.";

/// Show, check, empty or delete the backlog that relays share
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Show the streams, and what waits in each
    List(ReadArgs),
    /// Check the servers and the streams
    Check(ReadArgs),
    /// Delete what waits for a target, through a running relay
    Purge {
        /// The target
        #[arg(value_name = "NAME")]
        target: String,
        #[command(flatten)]
        relay: RelayArgs,
    },
    /// Delete the stream of a target that is not in the configuration
    Delete {
        /// The stream, as `list` shows it
        #[arg(value_name = "STREAM")]
        stream: String,
        /// Delete it with the profiles in it
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// Options of the commands that only read.
#[derive(Debug, Clone, clap::Args)]
struct ReadArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The option that names the servers.
#[derive(Debug, Clone, clap::Args)]
struct ConfigArgs {
    /// Configuration with the section `shared`; without --config, the file in PYROTEE_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs a subcommand. The exit code is a failure without an error if the check found a fault, and printed it.
///
/// # Errors
/// The configuration, NATS or the relay cannot be used; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Purge { target, relay } => {
            let purged = relay.client_with_token()?.purge(&target).await?;
            let purged = profiles(purged.profiles, purged.bytes);
            print(&format!("{}: {purged} purged\n", visible(&target)))?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "jetstream")]
        Command::List(args) => streams::list(args).await,
        #[cfg(feature = "jetstream")]
        Command::Check(args) => streams::check(args).await,
        #[cfg(feature = "jetstream")]
        Command::Delete {
            stream,
            yes,
            config,
        } => streams::delete(&stream, yes, config).await,
        #[cfg(not(feature = "jetstream"))]
        _ => Err(super::UsageError(
            "this pyrotee was built without the feature `jetstream`, and cannot connect to NATS"
                .to_owned(),
        )
        .into()),
    }
}
