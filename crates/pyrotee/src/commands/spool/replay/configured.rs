//! Targets get what waits for them as the relay would send it.

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytesize::ByteSize;
use pyrotee_config::Config;
use pyrotee_delivery::{Clock, Monitor, Refusals, Target};
use pyrotee_letters::DeadLetters;
use pyrotee_net::{Connector, Resolver, Tls};
use pyrotee_queue::{Budget, Reason};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::super::open::{Opening, open, survey};
use super::super::{Ended, Misused};
use crate::run::settings;
use crate::terminal::{ProgressDisplay, Unit, print, visible};

/// How often it is looked how far the targets are.
const LOOK: Duration = Duration::from_millis(100);

/// The part of the memory limit that profiles have which a target rejected and which wait to be kept.
const WAITING_LETTERS: u64 = 4;

/// Whom to ask how a relay delivers what waits here.
const INSTEAD: &str = "pyrotee spool stats --admin ADDR";

pub(super) async fn run(
    config: Config,
    target: Option<String>,
    rate: Option<ByteSize>,
    patience: Duration,
) -> anyhow::Result<Ended> {
    let Some(spool) = config.spool else {
        return Err(Misused("the configuration has no spool".to_owned()).into());
    };
    let mut targets = wanted(config.remote_write.targets, target)?;
    for target in &mut targets {
        // Whoever replays by hand wants what is old, too.
        target.max_age = None;
        if let Some(rate) = rate {
            target.replay_rate = NonZeroU64::new(rate.as_u64());
        }
    }
    let names: Vec<_> = targets.iter().map(|it| it.name.clone()).collect();
    let survey = survey(&spool.dir)?;
    let budget = Budget::new(config.memory_limit);
    let opened = open(&spool.dir, &survey, &names, &budget, INSTEAD)?;
    let letters = config.dead_letters.as_ref();
    let letters = letters
        .map(|it| DeadLetters::open(&it.dir, it.max_bytes, config.memory_limit / WAITING_LETTERS));
    let letters = letters.transpose();
    let letters = letters.context("failed to open the dead letters")?;
    let refusals = letters.as_ref().map(|kept| kept.refusals.clone());
    let refusals = refusals.unwrap_or_else(Refusals::unheard);
    let (resolver, tls) = (Resolver::system()?, Tls::system()?);
    let stop = CancellationToken::new();
    let (mut running, mut monitors) = (JoinSet::new(), Vec::new());
    for (target, opening) in targets.iter().zip(&opened.targets) {
        let connector = Connector::new(&resolver, &tls);
        let consumer = Arc::clone(&opening.consumer);
        let (clock, refusals) = (Clock::system(), refusals.clone());
        let ready = Target::new(
            &settings::delivery(target),
            connector,
            consumer,
            clock,
            refusals,
        );
        let name = &opening.name;
        let ready = ready.with_context(|| format!("failed to prepare target {name}"))?;
        monitors.push(ready.monitor());
        running.spawn(ready.run(stop.clone()));
    }
    let gave_up = watch(running, &opened.targets, &stop, patience).await?;
    opened.keeper.close();
    if let Some(kept) = letters {
        kept.writer.close();
    }
    report(&opened.targets, &monitors, gave_up.then_some(patience))
}

/// The target of this name, or all.
fn wanted(
    mut targets: Vec<pyrotee_config::Target>,
    name: Option<String>,
) -> anyhow::Result<Vec<pyrotee_config::Target>> {
    let Some(name) = name else { return Ok(targets) };
    let known: Vec<_> = targets.iter().map(|it| it.name.clone()).collect();
    targets.retain(|it| it.name == name);
    if targets.is_empty() {
        let known = known.join(", ");
        return Err(Misused(format!(
            "the configuration has no target `{name}`; there are: {known}. What a removed one left goes to an address (--to)"
        ))
        .into());
    }
    Ok(targets)
}

fn pending(targets: &[Opening]) -> u64 {
    let counts = targets.iter().map(|it| it.ledger.snapshot());
    counts.map(|counts| counts.pending.profiles).sum()
}

/// Waits for the targets until nothing is left, Ctrl-C, or nothing was taken for `patience`; whether it
/// was the last.
async fn watch(
    mut running: JoinSet<()>,
    targets: &[Opening],
    stop: &CancellationToken,
    patience: Duration,
) -> anyhow::Result<bool> {
    let total = pending(targets);
    let progress = ProgressDisplay::new("replay", Unit::Profiles, total);
    let (mut left, mut since) = (total, Instant::now());
    let mut gave_up = false;
    let mut ticks = interval(LOOK);
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => ended.context("a target crashed, which is a bug")?,
                None => return Ok(gave_up),
            },
            _ = ticks.tick() => {
                let now = pending(targets);
                if now < left {
                    (left, since) = (now, Instant::now());
                }
                progress.set(total.saturating_sub(now));
                if since.elapsed() >= patience && !stop.is_cancelled() {
                    gave_up = true;
                    stop.cancel();
                }
            }
            signal = &mut interrupted, if !stop.is_cancelled() => {
                signal.context("failed to listen for Ctrl-C")?;
                stop.cancel();
            }
        }
    }
}

fn report(
    targets: &[Opening],
    monitors: &[Monitor],
    gave_up: Option<Duration>,
) -> anyhow::Result<Ended> {
    let mut text = String::new();
    let mut ended = Ended::Well;
    for (target, monitor) in targets.iter().zip(monitors) {
        let counts = target.ledger.snapshot();
        let (sent, left) = (counts.sent.profiles, counts.pending.profiles);
        let bytes = ByteSize(counts.sent.bytes).display().iec();
        let name = visible(&target.name);
        _ = write!(
            text,
            "{name}: sent {sent} profiles, {bytes}; {left} are left"
        );
        for reason in Reason::ALL {
            let lost = counts.dropped(reason).profiles;
            if lost > 0 {
                _ = write!(text, ", {lost} lost as {}", reason.as_str());
                ended = Ended::Badly;
            }
        }
        text.push('\n');
        if left > 0 {
            ended = Ended::Badly;
            if let Some(error) = monitor.status().last_error {
                _ = writeln!(text, "  last error: {}", visible(&error.text));
            }
        }
    }
    if let Some(patience) = gave_up {
        let patience = humantime::format_duration(patience);
        _ = writeln!(
            text,
            "gave up: nothing was taken for {patience}; see to the targets and run this again, or give more --patience"
        );
    }
    print(&text)?;
    Ok(ended)
}
