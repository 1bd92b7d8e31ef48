//! `pyrotee healthcheck`: checks whether a running relay is ready or alive and exits with 0 or 1, for images without a
//! shell and for supervisors that run a command.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::bail;
use hyper::StatusCode;
use pyrotee_terminal::parse_duration;

use super::relay::RelayArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee healthcheck
      Checks whether the relay on this machine is ready: exit code 1 while it starts or stops.
      Lines below the first one name degraded parts, such as a spool that cannot be opened yet.

  pyrotee healthcheck --live --timeout 10s
      Checks whether the relay is alive: if not, a supervisor may restart it.

Neither check depends on a target or on the local Pyroscope. Of the configuration
only `admin` is read, and no secret. An address of all interfaces, such as :4041, is
asked at loopback.

Exit codes: 0 the relay is ready (or alive), 1 it is not, or does not respond, 2 the
command line or the file of --config is wrong.";

/// Check whether a running relay is ready, or alive
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: RelayArgs,

    /// Check liveness instead of readiness
    #[arg(long)]
    live: bool,

    /// Timeout of the response, such as 500ms or 3s
    #[arg(long, value_name = "D", default_value = "3s", value_parser = parse_duration)]
    timeout: Duration,
}

/// Checks the relay and prints its response.
///
/// # Errors
/// The relay does not respond in time, or not with a 200; the text has the response.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let relay = args.relay.client()?.within(args.timeout);
    let (status, text) = match args.live {
        true => relay.healthy().await?,
        false => relay.ready().await?,
    };
    match status {
        StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE => bail!("{text}"),
        other => {
            bail!("that server answered {other}: is it the `admin` of a pyrotee? (--admin)")
        }
    }
    // A reader that closed the output needs only the exit code.
    let _written = writeln!(io::stdout(), "{text}");
    Ok(())
}
