//! `pyrotee dead-letters …`: shows profiles that targets rejected, sends them again, or removes them.

mod batch;
#[cfg(test)]
mod fixture;
mod known_target;
mod ls;
mod purge;
mod replay;
mod selection;
mod show;
mod source;

const HELP: &str = "\
Examples:
  pyrotee dead-letters ls
  pyrotee dead-letters show 20261124T104300.123Z-000042-central
  pyrotee dead-letters replay --all --target central
  pyrotee dead-letters purge --older-than 2d

Each command asks the relay at --admin, else at PYROTEE_ADMIN, else at `admin` of the
configuration (PYROTEE_CONFIG, and PYROTEE__ADMIN over the file), else on this machine
at 127.0.0.1:4041. Or it reads a directory without a relay: --dir, or the directory in
the configuration --config.
A relay with an admin-token requires it, except for `ls`. The token is taken from
PYROTEE_ADMIN_TOKEN, else from the configuration of --config (beside --admin) or
PYROTEE_CONFIG. docs/dead-letters.md says what is kept, and for how long.";

/// Look at profiles that targets rejected, send them again, or remove them
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Show(show::Args),
    Replay(replay::Args),
    Purge(purge::Args),
}

/// Runs a subcommand.
///
/// # Errors
/// The dead letters cannot be reached, or the command failed for some of them; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Ls(args) => ls::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Purge(args) => purge::run(args).await,
    }
}
