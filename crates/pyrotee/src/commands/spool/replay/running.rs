//! A running relay hands what a removed target left to another one.

use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use pyrotee_admin::json::spool::ReplayProgress;
use tokio::time::{MissedTickBehavior, interval};

use super::super::{Ended, asked};
use crate::terminal::{ProgressDisplay, Unit, print, visible};

/// How often the relay is asked how far it is.
const ASK: Duration = Duration::from_millis(500);

pub(super) async fn run(admin: &str, from: &str, to: &str) -> anyhow::Result<Ended> {
    let begun = asked::replay(admin, from, to).await?;
    let progress = ProgressDisplay::new("replay", Unit::Profiles, begun.left);
    let done = tokio::select! {
        done = watch(admin, &begun, &progress) => done?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("failed to listen for Ctrl-C")?;
            drop(progress);
            print("the relay goes on: see `pyrotee spool stats --admin`\n")?;
            return Ok(Ended::Badly);
        }
    };
    drop(progress);
    let (profiles, bytes) = (done.replayed.profiles, done.replayed.bytes);
    let bytes = ByteSize(bytes).display().iec();
    print(&format!(
        "{} has {profiles} profiles of {}, {bytes}; {} are left\n",
        visible(to),
        visible(from),
        done.left
    ))?;
    match done.error {
        None => Ok(Ended::Well),
        Some(error) => bail!("the replay stopped: {}", visible(&error)),
    }
}

/// Waits for the end; how that was.
async fn watch(
    admin: &str,
    begun: &ReplayProgress,
    progress: &ProgressDisplay,
) -> anyhow::Result<ReplayProgress> {
    let mut ticks = interval(ASK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let page = asked::page(admin).await?;
        let Some(replay) = page.replay else {
            bail!("the relay was started anew: see what is left with `pyrotee spool stats`");
        };
        if (&replay.from, &replay.to) != (&begun.from, &begun.to) {
            bail!("the relay has begun another replay: see `pyrotee spool stats`");
        }
        progress.set(replay.replayed.profiles);
        if replay.state != "running" {
            return Ok(replay);
        }
    }
}
