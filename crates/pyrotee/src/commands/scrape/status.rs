//! `pyrotee scrape status`: shows the scrape targets of a running relay.

use std::collections::BTreeMap;

use anyhow::bail;
use pyrotee_admin::json::scrape::{NEVER, ScrapeTargetJson};
use pyrotee_client::RelayClient;
use pyrotee_terminal::{Layout, Table, print, visible_json};

use crate::commands::relay::RelayArgs;
use crate::commands::watch::{self, Show};

const EXAMPLES: &str = "\
Examples:
  pyrotee scrape status
      The applications that the relay on this machine scrapes, one line for each
      profile.

  pyrotee scrape status --admin relay.internal:4041 --job shop --watch 5
      Those of one job of another relay, again every 5 seconds.

  pyrotee scrape status --json | jq -r '.[] | select(.health == \"down\") | .url + \" \" + .lastError'
      The URLs that failed, and why; docs/status.md describes every field.

HEALTH: up, the last scrape got a profile; down, it failed; unknown, it was not
scraped yet; dropped, it cannot be scraped. Below a line is the URL with the reason
for which the last scrape failed or sent nothing, or the scrape target was dropped.

Exit codes: 0 shown, 1 there is no response, the server is no pyrotee, or it has no
such job; 2 the command line or the file of --config is wrong.";

/// Shown in place of a missing value.
const NOTHING: &str = "-";

const HEAD: [&str; 6] = [
    "JOB",
    "PROFILE",
    "HEALTH",
    "LAST SCRAPE",
    "DURATION",
    "LABELS",
];

/// Show the applications that a running relay scrapes
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    relay: RelayArgs,

    /// Only this job
    #[arg(long, value_name = "NAME")]
    job: Option<String>,

    #[command(flatten)]
    show: Show,
}

/// Asks the relay for its scrape targets and prints them, once or repeatedly.
///
/// # Errors
/// An argument cannot be used, the relay gives no list, or it has no scrape target of the job.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let relay = args.relay.client()?;
    match args.show.watch {
        Some(_) => watch::run(&args.show, async || text(&relay, &args).await).await,
        None => print(&text(&relay, &args).await?),
    }
}

async fn text(relay: &RelayClient, args: &Args) -> anyhow::Result<String> {
    let response = relay.scrape_targets().await?;
    let mut targets = response.value;
    if let Some(job) = &args.job {
        targets.retain(|it| it.job == *job);
        if targets.is_empty() {
            bail!(
                "the relay has no scrape target of the job {job}: `pyrotee scrape status` shows all"
            );
        }
    }
    Ok(match (args.show.json, &args.job) {
        (true, None) => visible_json(&response.json),
        (true, Some(_)) => visible_json(&(serde_json::to_string(&targets)? + "\n")),
        (false, _) => table(&targets, Layout::of_stdout()),
    })
}

fn table(targets: &[ScrapeTargetJson], layout: Layout) -> String {
    if targets.is_empty() {
        return "no scrape targets: scrape-configs has no job, or its jobs have found none\n"
            .to_owned();
    }
    let mut table = Table::new(HEAD);
    for target in targets {
        table.row(row(target));
        if !target.last_error.is_empty() {
            let reason = format!("  {}: {}", target.url, target.last_error);
            layout.lines(&reason).iter().for_each(|it| table.note(it));
        }
    }
    table.render(layout.width())
}

fn row(target: &ScrapeTargetJson) -> [String; HEAD.len()] {
    let or_nothing = |text: &str| match text {
        "" | NEVER => NOTHING.to_owned(),
        text => text.to_owned(),
    };
    let duration = Some(&target.last_scrape_duration).filter(|_| target.last_scrape != NEVER);
    [
        target.job.clone(),
        or_nothing(&target.profile),
        target.health.clone(),
        or_nothing(&target.last_scrape),
        duration.map_or_else(|| NOTHING.to_owned(), Clone::clone),
        or_nothing(&labels(&target.labels)),
    ]
}

/// The labels but the name of the job, which has a column.
fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels = labels.iter().filter(|(name, _)| *name != "job");
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    labels.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(profile: &str, health: &str, error: &str) -> ScrapeTargetJson {
        let labels = [("instance", "cart:6060"), ("job", "shop"), ("zone", "a")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ScrapeTargetJson {
            job: "shop".to_owned(),
            url: "http://cart:6060/debug/pprof/heap".to_owned(),
            discovered_labels: BTreeMap::new(),
            labels: labels.into(),
            health: health.to_owned(),
            last_scrape: "2026-11-24T05:59:58.000Z".to_owned(),
            last_error: error.to_owned(),
            last_scrape_duration: "3ms".to_owned(),
            profile: profile.to_owned(),
        }
    }

    #[test]
    fn each_profile_has_a_row_and_a_reason_below_it() {
        let dropped = ScrapeTargetJson {
            labels: BTreeMap::new(),
            last_scrape: NEVER.to_owned(),
            last_scrape_duration: "0s".to_owned(),
            ..target("", "dropped", "a loopback address\u{1b}[2J")
        };
        let targets = [
            target("cpu", "up", ""),
            target("mem", "down", "404"),
            dropped,
        ];
        assert_eq!(
            table(&targets, Layout::Pipe),
            "\
JOB   PROFILE  HEALTH   LAST SCRAPE               DURATION  LABELS
shop  cpu      up       2026-11-24T05:59:58.000Z  3ms       instance=cart:6060, zone=a
shop  mem      down     2026-11-24T05:59:58.000Z  3ms       instance=cart:6060, zone=a
  http://cart:6060/debug/pprof/heap: 404
shop  -        dropped  -                         -         -
  http://cart:6060/debug/pprof/heap: a loopback address\\u{1b}[2J
"
        );
    }

    #[test]
    fn without_scrape_targets_a_line_says_why() {
        assert!(table(&[], Layout::Pipe).starts_with("no scrape targets: "));
    }
}
