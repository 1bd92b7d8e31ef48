//! `pyrotee spool purge`: loses something on purpose.

use std::path::Path;

use anyhow::{Context, anyhow};
use bytesize::ByteSize;
use pyrotee_admin::json::spool::Purged;
use pyrotee_queue::{Budget, Reason, Tally};
use pyrotee_spool::inspect::{Membership, Survey};

use super::asked;
use super::open::{known, open, survey};
use super::place::Place;
use crate::terminal::print;
use crate::terminal::visible;

const EXAMPLES: &str = "\
Examples:
  pyrotee spool purge --dir /var/lib/pyrotee/spool --target central
      Loses everything that waits for one target, with no relay running.

  pyrotee spool purge --admin :4041 --target central
      Asks the running relay for the same: it counts the profiles as dropped by
      `admin`, and goes on with what comes. What is being uploaded is not lost.

  pyrotee spool purge --admin :4041 --removed
      What targets that left the configuration have left here; it would go
      by itself a day after they were last configured.

  pyrotee spool purge --dir /var/lib/pyrotee/spool --quarantined
      Deletes the damaged segments that were set aside.

Nothing is lost that is not named by one of the three flags. To another machine
the admin-token is shown that PYROTEE_ADMIN_TOKEN holds.

Exit codes: 0 done, 1 the spool is in use or cannot be used, or the relay does
not answer, 2 the command line or the configuration is wrong.";

/// Lose what waits for a target, what removed targets left, or damaged segments
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,

    /// Ask the running relay whose `admin` this is: :PORT, HOST:PORT or http://HOST:PORT
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["dir", "config"])]
    admin: Option<String>,

    /// Everything that waits for the target of this name, removed or not
    #[arg(long, value_name = "NAME", group = "what")]
    target: Option<String>,

    /// Everything that waits for targets that left the configuration
    #[arg(long, group = "what")]
    removed: bool,

    /// Damaged segments that were set aside (*.corrupt)
    #[arg(long, group = "what")]
    quarantined: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        place,
        admin,
        target,
        removed,
        quarantined: _,
    } = args;
    let purged = match (admin, target) {
        (Some(admin), Some(target)) => of_a_running_relay(&admin, target).await?,
        (Some(admin), None) if removed => asked::purge_removed(&admin, None).await?,
        (Some(admin), None) => asked::purge_quarantined(&admin).await?,
        (None, target) => {
            let dir = place.find()?.dir;
            let survey = survey(&dir)?;
            match target {
                Some(target) => {
                    known(&survey, &target)?;
                    of_targets(&dir, &survey, &[target])?
                }
                None if removed => {
                    let gone = survey.targets.iter();
                    let gone = gone.filter(|it| it.membership == Membership::Removed);
                    let gone: Vec<_> = gone.map(|it| it.name.clone()).collect();
                    of_targets(&dir, &survey, &gone)?
                }
                None => quarantined(&dir, &survey)?,
            }
        }
    };
    print(&text(&purged))
}

async fn of_a_running_relay(admin: &str, target: String) -> anyhow::Result<Vec<Purged>> {
    // A relay without a spool has targets, too.
    let page = asked::page(admin).await;
    let is_removed = page.is_ok_and(|page| {
        let mut targets = page.targets.iter();
        targets.any(|it| it.name == target && it.state == "removed")
    });
    if is_removed {
        return asked::purge_removed(admin, Some(&target)).await;
    }
    let lost = asked::purge(admin, &target).await?;
    let lost = Tally {
        profiles: lost.profiles,
        bytes: lost.bytes,
    };
    Ok(vec![Purged::of((target, lost))])
}

fn of_targets(dir: &Path, survey: &Survey, names: &[String]) -> anyhow::Result<Vec<Purged>> {
    let instead = match names {
        [name] => format!("pyrotee spool purge --admin ADDR --target {name}"),
        _ => "pyrotee spool purge --admin ADDR --removed".to_owned(),
    };
    let opened = open(dir, survey, names, &Budget::new(0), &instead)?;
    let purged = opened.targets.iter().map(|target| {
        target.consumer.abandon(Reason::Admin);
        let lost = target.ledger.snapshot().dropped(Reason::Admin);
        Purged::of((target.name.clone(), lost))
    });
    let purged = purged.collect();
    opened.closer.close();
    Ok(purged)
}

/// With the directory locked: a relay counts these files.
fn quarantined(dir: &Path, survey: &Survey) -> anyhow::Result<Vec<Purged>> {
    let instead = "pyrotee spool purge --admin ADDR --quarantined";
    let opened = open(dir, survey, &[], &Budget::new(0), instead)?;
    let deleted = opened.control.purge_quarantined();
    opened.closer.close();
    let deleted = deleted
        .with_context(|| format!("failed to delete damaged segments in {}", dir.display()))
        .map_err(|error| anyhow!("{error:#}"))?;
    Ok(vec![Purged::files(deleted)])
}

fn text(purged: &[Purged]) -> String {
    if purged.is_empty() {
        return "nothing waited for a removed target\n".to_owned();
    }
    let line = |it: &Purged| {
        let bytes = ByteSize(it.bytes).display().iec();
        match (it.profiles, it.files) {
            (Some(profiles), _) => {
                format!("{}: lost {profiles} profiles, {bytes}\n", visible(&it.what))
            }
            (None, files) => format!("deleted {} damaged segments, {bytes}\n", files.unwrap_or(0)),
        }
    };
    purged.iter().map(line).collect()
}
