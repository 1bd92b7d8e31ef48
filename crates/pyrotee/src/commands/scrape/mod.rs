//! `pyrotee scrape`: pull mode of a running relay.

mod status;

/// Show what a running relay scrapes
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    Status(status::Args),
}

/// Runs the command.
///
/// # Errors
/// As those of the commands.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Status(args) => status::run(args).await,
    }
}
