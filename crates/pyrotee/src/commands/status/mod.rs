//! `pyrotee status`: shows the targets of a running relay.

mod configuration;
mod table;

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context;
use pyrotee_admin::json::status::StatusPage;
use pyrotee_client::visible_json;
use pyrotee_client::{JsonResponse, RelayClient};
use tokio::time::MissedTickBehavior;

use super::relay::RelayArgs;
use crate::terminal::{parse_duration, print, width, write};

const EXAMPLES: &str = "\
Examples:
  pyrotee status
      The targets of the relay on this machine, one line for each.

  pyrotee status --admin relay.internal:4041 --watch 5
      The targets of another relay, again every 5 seconds. If the relay stops
      after the first response, the command waits for its return.

  pyrotee status --json | jq -r '.targets[] | select(.state != \"healthy\").name'
      The names of targets that are not healthy; docs/status.md describes every field.

STATE includes the time until the next try, and of a target that a reload removed
the time for which its pending profiles are still delivered. PENDING, SENT and
DROPPED count profiles; OLDEST is the age of the oldest pending profile. Below the
targets are lines for parts that are degraded, for faults of the configuration
file, for keys that need a restart, and for files that cannot be used.

Exit codes: 0 shown, 1 there is no response, or the server is no pyrotee.";

/// Width of the table where stdout is no terminal.
const WIDTH: usize = 120;

/// Shortest interval: less would be a load test.
const SHORTEST: Duration = Duration::from_millis(100);

/// Moves the cursor home and clears below it: one write for a whole frame does not flicker.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Show the state of the targets of a running relay
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: RelayArgs,

    /// Repeat every 2 seconds, or every SECONDS, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = interval)]
    pub(crate) watch: Option<Duration>,

    /// Print the JSON of the relay
    #[arg(long)]
    pub(crate) json: bool,
}

/// Asks the relay for its status and prints it, once or repeatedly.
///
/// # Errors
/// An argument cannot be used, or the relay gives no status; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let relay = args.relay.client()?;
    let Some(interval) = args.watch else {
        let response = relay.status().await?;
        return print(&show(&response, &args));
    };
    tokio::select! {
        watched = watch(&relay, &args, interval) => watched,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to listen for Ctrl-C"),
    }
}

/// Shows one status after the other until the reader closes the output.
async fn watch(relay: &RelayClient, args: &Args, interval: Duration) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = false;
    loop {
        ticks.tick().await;
        let text = match relay.status().await {
            Ok(response) => show(&response, args),
            // At first the address may be wrong; later the relay may be restarting.
            Err(error) if !seen => return Err(error),
            Err(error) if args.json => {
                write(&mut io::stderr(), &format!("error: {error:#}\n"))?;
                continue;
            }
            Err(error) => frame(&format!("error: {error:#}\n")),
        };
        seen = true;
        if !write(&mut io::stdout(), &text)? {
            return Ok(());
        }
    }
}

fn show(response: &JsonResponse<StatusPage>, args: &Args) -> String {
    if args.json {
        return visible_json(&response.json);
    }
    let table = table::render(&response.value, width(WIDTH));
    match args.watch {
        Some(_) => frame(&format!("{}\n{table}", table::title(&response.value))),
        None => table,
    }
}

/// The text of one status among several: on a terminal it replaces the previous one.
fn frame(text: &str) -> String {
    match io::stdout().is_terminal() {
        true => format!("{CLEAR}{text}"),
        false => format!("{text}\n"),
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
