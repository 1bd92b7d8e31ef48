//! `pyrotee healthcheck`: asks a running relay whether it is ready or alive and ends with 0 or 1, for images
//! without a shell and for supervisors that run a command.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::bail;
use hyper::StatusCode;
use pyrotee_client::{AdminArgs, RelayClient};

const EXAMPLES: &str = "\
Examples:
  pyrotee healthcheck
      Whether the relay on this machine wants requests: 1 while it starts or stops. Lines below
      the first one tell what is degraded, such as a spool that cannot be opened yet.

  pyrotee healthcheck --live --timeout 10s
      Whether it lives at all: what a supervisor may restart it for.

Neither depends on a target or on the local Pyroscope.

Exit codes: 0 it is, 1 it is not, or does not answer.";

/// Ask a running relay whether it is ready, or alive
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    admin: AdminArgs,

    /// Ask whether it lives, not whether it wants requests
    #[arg(long)]
    live: bool,

    /// Time for the answer, such as 500ms or 3s
    #[arg(long, value_name = "D", default_value = "3s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Asks as told and prints what the relay says.
///
/// # Errors
/// The relay does not answer in time, or not with a 200; the text says what it said.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let relay = RelayClient::at(&args.admin.admin)?.within(args.timeout);
    let (status, text) = match args.live {
        true => relay.healthy().await?,
        false => relay.ready().await?,
    };
    match status {
        StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE => bail!("{text}"),
        other => {
            bail!("what is there answered {other}: is this the `admin` of a pyrotee? (--admin)")
        }
    }
    // A reader that closed the output wanted the exit code.
    let _written = writeln!(io::stdout(), "{text}");
    Ok(())
}
