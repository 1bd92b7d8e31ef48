//! The parts of a relay that run until it stops, and how they end.

use std::time::Duration;

use anyhow::anyhow;
use pyrotee_admin::TargetList;
use pyrotee_queue::Reason;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::scraping::Scraping;
use crate::signals::Signals;
use crate::stopping::Deadlines;

/// Time for the parts to end after `stop` is cancelled; the others are then aborted.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Time for the aborted parts to end.
const ABORTING: Duration = Duration::from_millis(500);

/// Divisor of `shutdown.grace`: the share for the end of the scraping.
const SCRAPING_SHARE: u32 = 4;

/// [`LETTING_GO`] after a second signal.
const LETTING_GO_AT_ONCE: Duration = Duration::from_millis(200);

/// Interval of the log lines with the progress of a drain.
const PROGRESS: Duration = Duration::from_secs(5);

/// Why the relay stops.
pub(super) enum Cause {
    /// The name of the signal.
    Signal(&'static str),
    /// A part ended although nothing had asked it to.
    Crash(Option<JoinError>),
}

/// The parts that run until the relay stops.
pub(super) struct Running {
    /// The proxy and the targets. A target ends when its queue is closed and empty; the end of the proxy closes the
    /// queues.
    pub(super) parts: JoinSet<()>,
    pub(super) signals: Signals,
    pub(super) targets: TargetList,
    /// Cancelled to make the parts end at once.
    pub(super) stop: CancellationToken,
    pub(super) crashed: Option<anyhow::Error>,
}

impl Running {
    pub(super) async fn wait_for_the_end(&mut self) -> Cause {
        tokio::select! {
            signal = self.signals.next() => Cause::Signal(signal),
            Some(ended) = self.parts.join_next() => Cause::Crash(ended.err()),
        }
    }

    /// Ends the scraping, within a part of `shutdown.grace`, so that the rest of it is for requests and queues.
    pub(super) async fn stop_scraping(&mut self, scraping: &Scraping, deadlines: &mut Deadlines) {
        let left = deadlines.drained.saturating_duration_since(Instant::now());
        tokio::select! {
            // What has not ended by then ends with the runtime.
            _ended = timeout(left / SCRAPING_SHARE, scraping.stop()) => {}
            signal = self.signals.next() => {
                deadlines.hurry();
                tracing::warn!(signal, "stopping at once");
            }
        }
    }

    /// Waits until the queues are empty, `shutdown.grace` is over, or another signal comes.
    pub(super) async fn drain(&mut self, deadlines: &mut Deadlines) {
        let over = sleep_until(deadlines.drained);
        tokio::pin!(over);
        let mut progress = interval(PROGRESS);
        progress.reset();
        loop {
            tokio::select! {
                ended = self.parts.join_next() => match ended {
                    None => return,
                    Some(Ok(())) => {}
                    Some(Err(error)) => self.crashed = Some(crash(Some(error))),
                },
                signal = self.signals.next() => {
                    deadlines.hurry();
                    tracing::warn!(signal, "stopping at once");
                    return;
                }
                () = &mut over => {
                    tracing::warn!("shutdown.grace is over");
                    return;
                }
                _ = progress.tick() => {
                    let targets = self.targets.load();
                    let pending = targets.iter().map(|target| target.counts().pending.profiles);
                    let pending: u64 = pending.sum();
                    tracing::info!(pending, "draining");
                }
            }
        }
    }

    /// Ends the parts that still run.
    pub(super) async fn let_go(&mut self, deadlines: &mut Deadlines) {
        self.stop.cancel();
        let limit = match deadlines.is_hurried {
            true => LETTING_GO_AT_ONCE,
            false => LETTING_GO,
        };
        let ending = async { while self.parts.join_next().await.is_some() {} };
        let ended = tokio::select! {
            ended = timeout(limit, ending) => ended.is_ok(),
            signal = self.signals.next() => {
                deadlines.hurry();
                tracing::warn!(signal, "stopping at once");
                false
            }
        };
        if !ended {
            // Usually only the proxy still runs, because clients are still sending: a target ends soon after `stop` and
            // counts its profiles.
            let aborted = timeout(ABORTING, self.parts.shutdown()).await;
            if aborted.is_err() {
                tracing::error!("a task does not end");
            }
        }
    }

    /// Logs the counts of each target, and returns the error of a part that has crashed.
    pub(super) fn last_words(self) -> Option<anyhow::Error> {
        for target in self.targets.load().iter() {
            let (target, counts) = (&target.name, target.counts());
            let (sent, lost) = (
                counts.sent.profiles,
                counts.dropped(Reason::Shutdown).profiles,
            );
            // These profiles are on disk, for the next process.
            let kept = counts.pending.profiles;
            // These are with NATS, for the other relays.
            let handed_over = Some(counts.handed_over.profiles).filter(|it| *it > 0);
            if lost > 0 {
                tracing::warn!(
                    target,
                    sent,
                    lost,
                    kept,
                    handed_over,
                    "stopped before all profiles were delivered"
                );
            } else {
                tracing::info!(target, sent, kept, handed_over, "stopped");
            }
        }
        self.crashed
    }
}

pub(super) fn crash(error: Option<JoinError>) -> anyhow::Error {
    let error = error.map_or_else(|| anyhow!("it ended by itself"), anyhow::Error::from);
    let error = error.context("a part of the relay crashed, which is a bug");
    tracing::error!(error = &*error, "stopping");
    error
}
