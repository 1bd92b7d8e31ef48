//! Has a running relay hand the pending profiles of a removed target to another target.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use pyrotee_admin::json::spool::ReplayProgress;
use pyrotee_client::RelayClient;
use pyrotee_terminal::{ProgressDisplay, Unit, counted, print, size, visible};
use tokio::time::{MissedTickBehavior, interval};

use super::super::exit_code;

/// How often the relay is asked for its progress.
const INTERVAL: Duration = Duration::from_millis(500);

pub(super) async fn run(relay: &RelayClient, from: &str, to: &str) -> anyhow::Result<ExitCode> {
    let begun = relay.replay_removed(from, to).await?;
    let progress = ProgressDisplay::new("replay", Unit::Profiles, begun.left);
    let ended = tokio::select! {
        ended = watch(relay, &begun, &progress) => ended?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("failed to listen for Ctrl-C")?;
            drop(progress);
            print("the relay continues the replay: see `pyrotee spool stats --admin`\n")?;
            return Ok(exit_code(false));
        }
    };
    drop(progress);
    let profiles = counted(ended.replayed.profiles, "profile");
    let bytes = size(ended.replayed.bytes);
    print(&format!(
        "{} has {profiles} of {}, {bytes}; {} left\n",
        visible(to),
        visible(from),
        ended.left
    ))?;
    match ended.error {
        None => Ok(exit_code(true)),
        Some(error) => bail!("the replay stopped: {}", visible(&error)),
    }
}

/// Waits for the end of the replay.
async fn watch(
    relay: &RelayClient,
    begun: &ReplayProgress,
    progress: &ProgressDisplay,
) -> anyhow::Result<ReplayProgress> {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let page = relay.spool().await?;
        let Some(replay) = page.replay else {
            bail!("the relay was restarted: see the pending profiles with `pyrotee spool stats`");
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
