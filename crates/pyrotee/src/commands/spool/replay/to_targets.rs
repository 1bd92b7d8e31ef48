//! Sends the pending profiles of configured targets as the relay would.

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use pyrotee_config::{Config, Target};
use pyrotee_delivery::{CredentialRefresh, DeadLetterSink, Deliverer, TargetMonitor};
use pyrotee_letters::{DeadLetters, Settings};
use pyrotee_net::{Connector, Resolver};
use pyrotee_queue::{Budget, Reason, Supervisor, WallClock};
use pyrotee_relay::delivery_settings;
use pyrotee_terminal::{ProgressDisplay, Unit, counted, print, size, visible};
use pyrotee_tls::{ClientTls, SystemRoots};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::super::exit_code;
use super::super::queues::{CLOSING, TargetQueue, close, open, survey};
use crate::commands::{UsageError, configured_target};

/// How often the ledgers of the targets are read.
const INTERVAL: Duration = Duration::from_millis(100);

/// Divisor of the memory limit: the share for rejected profiles that are not written to dead letters yet.
const UNWRITTEN_LETTERS_SHARE: u64 = 4;

/// Command to run instead if a relay uses the spool.
const INSTEAD: &str = "pyrotee spool stats --admin ADDR";

pub(super) async fn run(
    config: Config,
    target: Option<String>,
    rate: Option<ByteSize>,
    patience: Duration,
) -> anyhow::Result<ExitCode> {
    let Some(spool_config) = config.spool else {
        return Err(UsageError("the configuration has no spool".to_owned()).into());
    };
    let mut targets = wanted(config.remote_write.targets, target)?;
    for target in &mut targets {
        // A replay by hand is for old profiles, too.
        target.max_age = None;
        if let Some(rate) = rate {
            target.replay_rate = NonZeroU64::new(rate.as_u64());
        }
    }
    let names: Vec<_> = targets.iter().map(|it| it.name.clone()).collect();
    let survey = survey(&spool_config.dir)?;
    let budget = Budget::new(config.memory_limit);
    let spool = open(&spool_config.dir, &survey, &names, &budget, INSTEAD)?;
    let supervisor = Supervisor::default();
    let letters = config.dead_letters.as_ref();
    let letters = letters.map(|it| {
        DeadLetters::open(Settings {
            dir: it.dir.clone(),
            max_bytes: it.max_bytes,
            most_waiting: config.memory_limit / UNWRITTEN_LETTERS_SHARE,
            supervisor: supervisor.clone(),
        })
    });
    let letters = letters.transpose();
    let letters = letters.context("failed to open the dead letters")?;
    let sink = letters.as_ref().map(|kept| kept.sink.clone());
    let sink = sink.unwrap_or_else(DeadLetterSink::disabled);
    let (resolver, roots) = (Resolver::system()?, SystemRoots::load()?);
    let stop = CancellationToken::new();
    let (mut running, mut monitors) = (JoinSet::new(), Vec::new());
    for (target, queue) in targets.iter().zip(&spool.queues) {
        let connector = Connector::new(&resolver, &ClientTls::system(&roots)?);
        let consumer = Arc::clone(&queue.consumer);
        let (clock, sink) = (WallClock::system(), sink.clone());
        let ready = Deliverer::new(
            &delivery_settings(target),
            connector,
            consumer,
            clock,
            sink,
            CredentialRefresh::disabled(),
            supervisor.clone(),
        );
        let ready = ready.with_context(|| format!("failed to prepare target {}", queue.target))?;
        monitors.push(ready.monitor());
        running.spawn(ready.run(stop.clone()));
    }
    let gave_up = watch(running, &spool.queues, &stop, patience).await?;
    let lost = letters.map_or(0, |kept| kept.writer.close(CLOSING));
    close(spool.closer)?;
    if lost > 0 {
        bail!(
            "the disk did not keep {} in {}",
            counted(lost, "dead letter"),
            humantime::format_duration(CLOSING)
        );
    }
    report(&spool.queues, &monitors, gave_up.then_some(patience))
}

/// The target of this name, or all targets.
fn wanted(targets: Vec<Target>, name: Option<String>) -> Result<Vec<Target>, UsageError> {
    let Some(name) = name else { return Ok(targets) };
    match configured_target(targets, &name) {
        Ok(target) => Ok(vec![target]),
        Err(UsageError(text)) => Err(UsageError(format!(
            "{text}. Profiles of a removed target can be sent to an address (--to)"
        ))),
    }
}

fn pending(queues: &[TargetQueue]) -> u64 {
    let counts = queues.iter().map(|it| it.ledger.snapshot());
    counts.map(|counts| counts.pending.profiles).sum()
}

/// Waits until nothing is pending, for Ctrl-C, or until no target took a profile for `patience`: `true` in the
/// last case.
async fn watch(
    mut running: JoinSet<()>,
    queues: &[TargetQueue],
    stop: &CancellationToken,
    patience: Duration,
) -> anyhow::Result<bool> {
    let total = pending(queues);
    let progress = ProgressDisplay::new("replay", Unit::Profiles, total);
    let (mut left, mut since) = (total, Instant::now());
    let mut gave_up = false;
    let mut ticks = interval(INTERVAL);
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => ended.context("a target crashed, which is a bug")?,
                None => return Ok(gave_up),
            },
            _ = ticks.tick() => {
                let now = pending(queues);
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
    queues: &[TargetQueue],
    monitors: &[TargetMonitor],
    gave_up: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    let mut all_sent = true;
    for (queue, monitor) in queues.iter().zip(monitors) {
        let counts = queue.ledger.snapshot();
        let (sent, left) = (counts.sent.profiles, counts.pending.profiles);
        let (name, bytes) = (visible(&queue.target), size(counts.sent.bytes));
        _ = write!(
            text,
            "{name}: sent {}, {bytes}; {left} left",
            counted(sent, "profile")
        );
        for reason in Reason::ALL {
            let lost = counts.dropped(reason).profiles;
            if lost > 0 {
                _ = write!(text, ", {lost} lost as {}", reason.as_str());
                all_sent = false;
            }
        }
        text.push('\n');
        if left > 0 {
            all_sent = false;
            if let Some(error) = monitor.status().last_error {
                _ = writeln!(text, "  last error: {}", visible(&error.text));
            }
        }
    }
    if let Some(patience) = gave_up {
        let patience = humantime::format_duration(patience);
        _ = writeln!(
            text,
            "gave up: no target accepted a profile for {patience}; check the targets and run the command again, or give more --patience"
        );
    }
    print(&text)?;
    Ok(exit_code(all_sent))
}
