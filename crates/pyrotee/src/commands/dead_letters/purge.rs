//! `pyrotee dead-letters purge`.

use std::time::{Duration, SystemTime};

use pyrotee_terminal::parse_duration;

use super::batch::BatchReport;
use super::selection::SelectionArgs;
use super::source::SourceArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee dead-letters purge 20261124T104300.123Z-000042-central
  pyrotee dead-letters purge --older-than 2d --target central
  pyrotee dead-letters purge --all

Exit codes: 0 all were removed, 1 some were not, or there was no response,
2 the command line or the configuration is wrong.";

/// Letters in one request to a relay.
const BATCH: usize = 256;

/// Remove dead letters
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Dead letters that were rejected longer ago than this, such as 12h or 2d
    #[arg(long, value_name = "D", value_parser = parse_duration, conflicts_with = "ids")]
    older_than: Option<Duration>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let source = args.source.open(true)?;
    let before = args.older_than.map(|age| {
        let before = SystemTime::now().checked_sub(age);
        before.unwrap_or(SystemTime::UNIX_EPOCH)
    });
    let mut ids = args.selection.find(&source, before).await?;
    let mut report = BatchReport::new("purging", ids.len());
    while !ids.is_empty() {
        let rest = ids.split_off(BATCH.min(ids.len()));
        let result = source.purge(std::mem::replace(&mut ids, rest)).await?;
        drop(report.add(result));
    }
    report.end("purged")
}
