//! `pyrotee status`: shows the targets of a running relay.

mod ages;
mod configuration;
mod health;
mod layout;
mod notes;
mod parts;
mod table;
mod watch;

use std::time::Duration;

use anyhow::{Context, bail};
use pyrotee_admin::json::status::StatusPage;
use pyrotee_client::JsonResponse;
use pyrotee_terminal::{parse_duration, print, visible_json};

use super::relay::RelayArgs;
use layout::Layout;

const EXAMPLES: &str = "\
Examples:
  pyrotee status
      The targets of the relay on this machine, one line for each.

  pyrotee status --admin relay.internal:4041 --watch 5
      The targets of another relay, again every 5 seconds. If the relay stops
      after the first response, the last table stays below the time at which the
      responses ended, and the command waits for the relay's return.

  pyrotee status --fail > /dev/null
      For scripts: exit code 1 if a target is not healthy, the upstream is failing
      or a part is degraded. stderr says which: `error: not healthy: …`.

  pyrotee status --json | jq -r '.targets[] | select(.state != \"healthy\").name'
      The names of targets that are not healthy; docs/status.md describes every field.

STATE includes the time until the next try, and of a target that a reload removed
the time for which its pending profiles are still delivered. PENDING, SENT and
DROPPED count profiles; OLDEST is the age of the oldest pending profile. Below a
target are the reasons of dropped profiles, a long error, and what to do. Below the
targets are lines for the upstream, the spool and the dead letters, for parts that are
degraded, for faults of the configuration file, for keys that need a restart, and for
files that cannot be used. On a terminal with less than 100 columns the table has
fewer columns, and more lines.

An address of all interfaces, such as :4041, is asked at loopback.

Exit codes: 0 shown, 1 there is no response, or the server is no pyrotee, or with
--fail something is not healthy; 2 the command line or the file of --config is wrong.";

/// Shortest interval: less would be a load test.
const SHORTEST: Duration = Duration::from_millis(100);

/// Show the state of the targets of a running relay
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: RelayArgs,

    /// Repeat every 2 seconds, or every SECONDS, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = interval)]
    watch: Option<Duration>,

    /// Print the JSON of the relay
    #[arg(long)]
    json: bool,

    /// Exit with 1 unless all targets and parts are healthy and the upstream is not failing
    #[arg(long, conflicts_with = "watch")]
    fail: bool,
}

/// Asks the relay for its status and prints it, once or repeatedly.
///
/// # Errors
/// An argument cannot be used, or the relay gives no status; the text says what to do next. With `--fail`: something is
/// not healthy; the text begins with `not healthy: ` and says what.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let relay = args.relay.client()?;
    let Some(interval) = args.watch else {
        let response = relay.status().await?;
        print(&show(&response, &args))?;
        let trouble = health::trouble(&response.value).filter(|_| args.fail);
        return trouble.map_or(Ok(()), |trouble| bail!("not healthy: {trouble}"));
    };
    tokio::select! {
        watched = watch::run(&relay, &args, interval) => watched,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to listen for Ctrl-C"),
    }
}

fn show(response: &JsonResponse<StatusPage>, args: &Args) -> String {
    match args.json {
        true => visible_json(&response.json),
        false => table::render(&response.value, Layout::of_stdout()),
    }
}

/// Parses an interval: a number of seconds, or a duration with a unit.
fn interval(text: &str) -> Result<Duration, String> {
    let bare = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let text = if bare { &format!("{text}s") } else { text };
    let interval = parse_duration(text)?;
    match interval < SHORTEST {
        true => Err("is less than a tenth of a second".to_owned()),
        false => Ok(interval),
    }
}

#[cfg(test)]
mod tests;
