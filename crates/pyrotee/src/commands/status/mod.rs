//! `pyrotee status`: shows the targets of a running relay.

mod ages;
mod configuration;
mod health;
mod notes;
mod parts;
mod table;

use anyhow::bail;
use pyrotee_admin::json::status::StatusPage;
use pyrotee_client::JsonResponse;
use pyrotee_terminal::{Layout, print, visible_json};

use super::relay::RelayArgs;
use super::watch::{self, Show};

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
targets are lines for the upstream, the spool, the shared backlog, the dead letters and pull
mode, for parts that are degraded, for faults of the configuration file, for keys that need
a restart, and for files that cannot be used. On a terminal with less than 100 columns the table has
fewer columns, and more lines.

An address of all interfaces, such as :4041, is asked at loopback.

Exit codes: 0 shown, 1 there is no response, or the server is no pyrotee, or with
--fail something is not healthy; 2 the command line or the file of --config is wrong.";

/// Show the state of the targets of a running relay
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: RelayArgs,

    #[command(flatten)]
    show: Show,

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
    if args.show.watch.is_some() {
        let text = async || {
            let response = relay.status().await?;
            let text = show(&response, args.show.json);
            Ok(match args.show.json {
                true => text,
                false => format!("{}\n{text}", table::title(&response.value)),
            })
        };
        return watch::run(&args.show, text).await;
    }
    let response = relay.status().await?;
    print(&show(&response, args.show.json))?;
    let trouble = health::trouble(&response.value).filter(|_| args.fail);
    trouble.map_or(Ok(()), |trouble| bail!("not healthy: {trouble}"))
}

fn show(response: &JsonResponse<StatusPage>, is_json: bool) -> String {
    match is_json {
        true => visible_json(&response.json),
        false => table::render(&response.value, Layout::of_stdout()),
    }
}
