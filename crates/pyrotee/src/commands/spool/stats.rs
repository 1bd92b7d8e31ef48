//! `pyrotee spool stats`: shows the pending profiles of each target.

use std::fmt::Write as _;
use std::time::Duration;

use pyrotee_admin::json::spool::{SpoolPage, TargetBacklog};
use pyrotee_terminal::{Table, age, counted, print, print_json, profiles, size, visible};

use super::directory::{DirectoryArgs, SpoolDirectory};
use super::queues::survey;
use crate::commands::relay::RelayArgs;
use crate::commands::tls_args::TlsArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee spool stats --dir /var/lib/pyrotee/spool
      Shows the pending profiles of each target, also while a relay uses the spool.

  pyrotee spool stats --admin
      Asks the running relay, and so includes profiles that are not written yet.
      Without an address the relay is found as by `pyrotee status`.

  pyrotee spool stats --config pyrotee.yaml --json | jq '.targets[] | select(.state == \"removed\")'
      Shows targets that left the configuration and have pending profiles;
      docs/spool.md describes every field.

Nothing is changed. IN FLIGHT counts profiles that were being delivered when the
cursors were last saved: if the relay was killed then, they may arrive twice.

Exit codes: 0 shown, 1 the directory is no spool or cannot be read, 2 the command
line or the configuration is wrong.";

const HEAD: [&str; 5] = ["TARGET", "STATE", "PENDING", "OLDEST", "IN FLIGHT"];

/// Show the pending profiles of each target in a spool
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,

    /// Ask the running relay with this `admin`: :PORT, HOST:PORT or https://HOST:PORT; without ADDR as `pyrotee status`
    #[arg(long, value_name = "ADDR", num_args = 0..=1, conflicts_with = "dir")]
    admin: Option<Option<String>>,

    #[command(flatten)]
    tls: TlsArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let page = match &args.admin {
        Some(admin) => {
            let relay = RelayArgs {
                admin: admin.clone(),
                config: args.directory.config,
                tls: args.tls,
            };
            relay.client()?.spool().await?
        }
        None => of_files(args.directory.find()?)?,
    };
    match args.json {
        true => print_json(&page.json()),
        false => print(&text(&page)),
    }
}

fn of_files(SpoolDirectory { dir, config }: SpoolDirectory) -> anyhow::Result<SpoolPage> {
    let survey = survey(&dir)?;
    let max_bytes = config.and_then(|config| Some(config.spool?.max_bytes));
    Ok(SpoolPage::of(dir.display().to_string(), survey, max_bytes))
}

fn text(page: &SpoolPage) -> String {
    let mut text = String::new();
    let most = page
        .max_bytes
        .map_or_else(String::new, |most| format!(" of {}", size(most)));
    let state = match page.state.as_str() {
        "closed" => "closed cleanly",
        "unclean" => "not in use, and not closed cleanly: the last process was killed",
        "in_use" => "in use",
        "waiting" => "not open yet: profiles stay in memory",
        "scanning" => "being read: new profiles stay in memory until that is done",
        "memory_only" => "in use, and its disk in trouble: profiles stay in memory",
        "read_errors" => "in use, and some segments cannot be read: their profiles wait",
        other => other,
    };
    let segments = counted(page.segments, "segment");
    let bytes = size(page.bytes);
    _ = writeln!(text, "{}: {}", visible(&page.dir), visible(state));
    _ = writeln!(text, "format {}, {segments}, {bytes}{most}", page.format);
    if page.careful {
        text.push_str(
            "the relay ended soon after its start again and again: it delivers one profile at a time\n",
        );
    }
    if let Some(opening) = &page.opening {
        _ = match &opening.reason {
            Some(reason) => writeln!(text, "{}", visible(reason)),
            None => writeln!(
                text,
                "{} of {} are read",
                size(opening.read_bytes),
                size(opening.total_bytes)
            ),
        };
    }
    if page.quarantined.files > 0 {
        let files = counted(page.quarantined.files, "damaged segment");
        let bytes = size(page.quarantined.bytes);
        _ = writeln!(
            text,
            "set aside: {files}, {bytes}; `pyrotee spool export --quarantined` exports the whole profiles"
        );
    }
    if page.damages > 0 {
        _ = writeln!(
            text,
            "{}: see `pyrotee spool verify`",
            counted(page.damages, "damage")
        );
    }
    if !page.foreign.is_empty() {
        let foreign: Vec<_> = page.foreign.iter().map(|it| visible(it)).collect();
        _ = writeln!(
            text,
            "foreign files, which are left alone: {}",
            foreign.join(", ")
        );
    }
    if let Some(replay) = &page.replay {
        let (from, to) = (visible(&replay.from), visible(&replay.to));
        let (state, replayed, left) = (
            visible(&replay.state),
            replay.replayed.profiles,
            replay.left,
        );
        _ = writeln!(
            text,
            "replay from {from} to {to}: {state}, {replayed} replayed, {left} left"
        );
    }
    if page.targets.is_empty() {
        text.push_str("no profiles are pending\n");
        return text;
    }
    let mut table = Table::new(HEAD);
    for target in &page.targets {
        table.row(row(target));
    }
    text.push('\n');
    text + &table.render(usize::MAX)
}

fn row(target: &TargetBacklog) -> [String; HEAD.len()] {
    let oldest = target.oldest_pending_age_seconds;
    let oldest = oldest.and_then(|it| Duration::try_from_secs_f64(it).ok());
    [
        target.name.clone(),
        target.state.clone(),
        profiles(target.pending.profiles, target.pending.bytes),
        oldest.map_or_else(|| "-".to_owned(), age),
        target.in_flight.to_string(),
    ]
}
