//! `pyrotee spool purge`: drops the pending profiles of a target, or deletes damaged segments.

use std::path::Path;

use anyhow::{Context, anyhow};
use pyrotee_admin::json::spool::Purged;
use pyrotee_client::RelayClient;
use pyrotee_queue::{Budget, Reason, Tally};
use pyrotee_segments::inspect::{Membership, Survey};
use pyrotee_terminal::{counted, print, size, visible};

use super::directory::DirectoryArgs;
use super::queues::{check_target, close, open, survey};
use crate::commands::relay::relay_at;
use crate::commands::tls_args::TlsArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee spool purge --dir /var/lib/pyrotee/spool --target central
      Deletes all pending profiles of one target, with no relay running.

  pyrotee spool purge --admin --target central
      Makes the running relay delete them: it counts them as dropped by `admin`,
      and goes on with new profiles. Profiles in flight are not deleted.

  pyrotee spool purge --admin --removed
      Deletes the profiles of targets that left the configuration. The relay
      would delete them a day after the targets were last configured.

  pyrotee spool purge --dir /var/lib/pyrotee/spool --quarantined
      Deletes the damaged segments that were set aside.

The command deletes only profiles or segments that one of the three flags names. A
relay with an admin-token requires it. The token is taken from PYROTEE_ADMIN_TOKEN,
else from the configuration of --config (beside --admin) or PYROTEE_CONFIG.

Exit codes: 0 done, 1 the spool is in use or cannot be used, or the relay does
not respond, 2 the command line or the configuration is wrong.";

/// Delete pending profiles of a target or of removed targets, or damaged segments
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
pub(super) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,

    /// Ask the running relay with this `admin`: :PORT, HOST:PORT or https://HOST:PORT; without ADDR as `pyrotee status`
    #[arg(long, value_name = "ADDR", num_args = 0..=1, conflicts_with = "dir")]
    admin: Option<Option<String>>,

    #[command(flatten)]
    tls: TlsArgs,

    /// All pending profiles of the target with this name, removed or not
    #[arg(long, value_name = "NAME", group = "what")]
    target: Option<String>,

    /// All pending profiles of targets that left the configuration
    #[arg(long, group = "what")]
    removed: bool,

    /// Damaged segments that were set aside (*.corrupt)
    #[arg(long, group = "what")]
    quarantined: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let purged = match &args.admin {
        Some(admin) => {
            let relay = relay_at(
                admin.as_deref(),
                args.directory.config.as_deref(),
                &args.tls,
            )?;
            by_relay(&relay, args.target, args.removed).await?
        }
        None => in_directory(&args.directory.find()?.dir, args.target, args.removed)?,
    };
    print(&text(&purged))
}

async fn by_relay(
    relay: &RelayClient,
    target: Option<String>,
    removed: bool,
) -> anyhow::Result<Vec<Purged>> {
    match target {
        Some(target) => target_by_relay(relay, target).await,
        None if removed => relay.purge_removed(None).await,
        None => relay.purge_quarantined().await,
    }
}

fn in_directory(dir: &Path, target: Option<String>, removed: bool) -> anyhow::Result<Vec<Purged>> {
    let survey = survey(dir)?;
    match target {
        Some(target) => {
            check_target(&survey, &target)?;
            queues(dir, &survey, &[target])
        }
        None if removed => {
            let gone = survey.targets.iter();
            let gone = gone.filter(|it| it.membership == Membership::Removed);
            let gone: Vec<_> = gone.map(|it| it.name.clone()).collect();
            queues(dir, &survey, &gone)
        }
        None => quarantined(dir, &survey),
    }
}

async fn target_by_relay(relay: &RelayClient, target: String) -> anyhow::Result<Vec<Purged>> {
    // An error is ignored: a relay without a spool has targets, too.
    let page = relay.spool().await;
    let is_removed = page.is_ok_and(|page| {
        let mut targets = page.targets.iter();
        targets.any(|it| it.name == target && it.state == "removed")
    });
    if is_removed {
        return relay.purge_removed(Some(&target)).await;
    }
    let lost = relay.purge(&target).await?;
    let lost = Tally {
        profiles: lost.profiles,
        bytes: lost.bytes,
    };
    Ok(vec![Purged::of((target, lost))])
}

fn queues(dir: &Path, survey: &Survey, names: &[String]) -> anyhow::Result<Vec<Purged>> {
    let instead = match names {
        [name] => format!("pyrotee spool purge --admin ADDR --target {name}"),
        _ => "pyrotee spool purge --admin ADDR --removed".to_owned(),
    };
    let spool = open(dir, survey, names, &Budget::new(0), &instead)?;
    let purged = spool.queues.iter().map(|queue| {
        queue.consumer.abandon(Reason::Admin);
        let lost = queue.ledger.snapshot().dropped(Reason::Admin);
        Purged::of((queue.target.clone(), lost))
    });
    let purged = purged.collect();
    close(spool.closer)?;
    Ok(purged)
}

/// Deletes damaged segments, with the directory locked: a relay counts these files.
fn quarantined(dir: &Path, survey: &Survey) -> anyhow::Result<Vec<Purged>> {
    let instead = "pyrotee spool purge --admin ADDR --quarantined";
    let spool = open(dir, survey, &[], &Budget::new(0), instead)?;
    let deleted = spool.control.purge_quarantined();
    close(spool.closer)?;
    let deleted = deleted
        .with_context(|| format!("failed to delete damaged segments in {}", dir.display()))
        .map_err(|error| anyhow!("{error:#}"))?;
    Ok(vec![Purged::files(deleted)])
}

fn text(purged: &[Purged]) -> String {
    if purged.is_empty() {
        return "no removed target had pending profiles\n".to_owned();
    }
    let line = |it: &Purged| {
        let bytes = size(it.bytes);
        match (it.profiles, it.files) {
            (Some(profiles), _) => {
                let lost = counted(profiles, "profile");
                format!("{}: lost {lost}, {bytes}\n", visible(&it.what))
            }
            (None, files) => {
                let files = counted(files.unwrap_or(0), "damaged segment");
                format!("deleted {files}, {bytes}\n")
            }
        }
    };
    purged.iter().map(line).collect()
}
