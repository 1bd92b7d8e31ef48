//! Ends the process within a time limit, even if a disk hangs, or the reader of the log does not read.
//!
//! After `shutdown.grace` requests that are still open are cut, then the spool and the dead letters save the contents
//! of their memory in parallel, each on a thread that is abandoned at a deadline. Beside them the shared backlog takes over
//! what is still queued. A second signal cuts each step short.

use std::process;
use std::thread::{self, Builder};
use std::time::Duration;

use pyrotee_letters::{Monitor as LetterMonitor, Writer};
use pyrotee_queue::on_thread;
use pyrotee_spool::{Closer, Monitor as SpoolMonitor};
use tokio::time::{Instant, sleep_until};

use crate::shared::Closing;
use crate::signals::Signals;

/// Time after `shutdown.grace` within which the process ends in any case.
pub(super) const LIMIT: Duration = Duration::from_secs(3);

/// Time after `shutdown.grace` for which the process waits for its disks.
const SAVING: Duration = Duration::from_millis(2_500);

/// Time after a second signal for which the process waits for its disks. A disk that works has saved by then.
const SAVING_AT_ONCE: Duration = Duration::from_millis(500);

/// Time for the last log line of a process that is stuck.
const LAST_LINE: Duration = Duration::from_millis(100);

/// Exit code of a process that was stuck.
const STUCK: i32 = 1;

/// Longer than any process runs, for limits that cannot be added to a time.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Deadlines of the steps of a stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// End of the wait for requests and queues.
    pub(super) drained: Instant,
    /// End of the wait for disks.
    pub(super) saved: Instant,
    /// Whether a second signal came.
    pub(super) is_hurried: bool,
}

impl Deadlines {
    /// The deadlines of a stop that begins now. From now on the process ends in time, even if a thread is stuck.
    pub(super) fn begin(grace: Duration) -> Self {
        let limit = grace.saturating_add(LIMIT);
        let watchdog = Builder::new().name("stop".to_owned()).spawn(move || {
            thread::sleep(limit);
            end_stuck_process();
        });
        if let Err(error) = watchdog {
            tracing::warn!(%error, "failed to start the thread that ends a process that is stuck");
        }
        let now = Instant::now();
        let after = |time: Duration| now.checked_add(time).unwrap_or(now + FOREVER);
        Self {
            drained: after(grace),
            saved: after(grace.saturating_add(SAVING)),
            is_hurried: false,
        }
    }

    /// Shortens the deadlines after a second signal: the wait for requests and queues ends at once, the wait for disks
    /// after [`SAVING_AT_ONCE`].
    pub(super) fn hurry(&mut self) {
        self.is_hurried = true;
        let now = Instant::now();
        self.drained = self.drained.min(now);
        self.saved = self.saved.min(now + SAVING_AT_ONCE);
    }
}

#[expect(
    clippy::exit,
    reason = "the thread that could return from main is the one that is stuck"
)]
fn end_stuck_process() {
    // Logging may be stuck, too, so another thread does it.
    let logging = Builder::new().spawn(|| tracing::error!("a thread is stuck: the process ends"));
    if logging.is_ok() {
        thread::sleep(LAST_LINE);
    }
    process::exit(STUCK);
}

/// The parts that save their memory at the end.
#[derive(Debug, Default)]
pub(super) struct Savers {
    pub(super) spool: Option<(SpoolMonitor, Closer)>,
    pub(super) dead_letters: Option<(LetterMonitor, Writer)>,
    pub(super) shared: Option<Closing>,
}

impl Savers {
    /// Saves the state of the spool and the dead letters for the next process, and hands the queued profiles to the other
    /// relays, until `deadlines` or a signal. Logs which of them could not be saved.
    pub(super) async fn save(self, deadlines: Deadlines, signals: &mut Signals) {
        let until = deadlines.saved;
        let (spool, closer) = self.spool.unzip();
        let (dead_letters, writer) = self.dead_letters.unzip();
        let closer =
            closer.map(|closer| on_thread("close-spool", move || closer.close(until.into_std())));
        let writer = writer.map(|writer| {
            let limit = until.saturating_duration_since(Instant::now());
            on_thread("close-letters", move || writer.close(limit) == 0)
        });
        let (mut is_spool_saved, mut are_letters_saved) = (closer.is_none(), writer.is_none());
        let mut is_handed_over = self.shared.is_none();
        let saving = async {
            let spool = async {
                if let Some(closed) = closer {
                    is_spool_saved = closed.await.unwrap_or(false);
                }
            };
            let dead_letters = async {
                if let Some(closed) = writer {
                    are_letters_saved = closed.await.unwrap_or(false);
                }
            };
            let shared = async {
                if let Some(closing) = self.shared {
                    is_handed_over = closing.close(until.into_std()).await;
                }
            };
            tokio::join!(spool, dead_letters, shared);
        };
        tokio::select! {
            () = saving => {}
            () = sleep_until(until) => {}
            signal = signals.next() => tracing::warn!(signal, "stopping at once"),
        }
        if let Some(spool) = spool.filter(|_| !is_spool_saved) {
            tracing::warn!(
                unwritten = spool.stats().unwritten,
                "the disk did not save in time: unwritten profiles of the spool are lost, and profiles delivered last \
                 may be delivered again"
            );
        }
        if !is_handed_over {
            tracing::warn!(
                "NATS did not take all queued profiles in time: the others are lost, and counted as dropped by shutdown"
            );
        }
        if let Some(letters) = dead_letters.filter(|_| !are_letters_saved) {
            tracing::warn!(
                letters = letters.unwritten(),
                "dead letters were not written and are lost"
            );
        }
    }
}
