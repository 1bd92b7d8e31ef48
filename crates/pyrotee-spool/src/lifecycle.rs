//! The lifecycle of a spool: waiting, scanning or open; whether it is being stopped; whether its writer thread has
//! ended.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyrotee_queue::lock;
use pyrotee_segments::OnRead;
use tokio::time::Instant as Clock;

/// Whether a spool is open. Until it is, records stay in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The directory cannot be used now. The spool tries again.
    Waiting {
        /// Why the directory cannot be used, and what to do.
        reason: String,
        /// When the first attempt failed.
        since: Instant,
    },
    /// The directory is locked, and its segments are being read.
    Scanning {
        /// Bytes of segments that were read.
        read: u64,
        /// Bytes of all segments; zero before the directory is listed.
        of: u64,
    },
    /// Records that earlier processes left are queued, and new ones are written to disk.
    Open,
}

/// The lifecycle of one spool, shared by its threads and its handles.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    state: Mutex<State>,
    /// Notified after each change of the state, and when the spool is stopped.
    changed: Condvar,
    /// The spool is being closed: no segment is scanned any more.
    is_stopping: AtomicBool,
    /// Bytes of segments that were scanned; `of`: bytes of all segments.
    read: AtomicU64,
    of: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// When the first attempt to open failed.
    waiting_since: Option<Instant>,
    /// A scan has begun.
    has_scanned: bool,
    /// The writer thread has ended.
    has_ended: bool,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Scanning,
    /// The last attempt to open failed: why, and what to do.
    Waiting(String),
    Open,
}

impl Lifecycle {
    pub(crate) fn opening(&self) -> Opening {
        let state = lock(&self.state);
        match (&state.phase, state.waiting_since) {
            (Phase::Open, _) => Opening::Open,
            (Phase::Waiting(reason), Some(since)) => Opening::Waiting {
                reason: reason.clone(),
                since,
            },
            (Phase::Waiting(_) | Phase::Scanning, _) => Opening::Scanning {
                read: self.read.load(Relaxed),
                of: self.of.load(Relaxed),
            },
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(lock(&self.state).phase, Phase::Open)
    }

    /// Notes that an attempt to open the spool has failed. Returns the time since the first failed attempt.
    pub(crate) fn set_waiting(&self, reason: &str) -> Duration {
        let now = Clock::now().into_std();
        let mut state = lock(&self.state);
        state.phase = Phase::Waiting(reason.to_owned());
        let since = *state.waiting_since.get_or_insert(now);
        drop(state);
        self.changed.notify_all();
        now.saturating_duration_since(since)
    }

    /// Notes that a scan of segments begins. `of`: bytes of all segments. Returns whether this is the first scan.
    pub(crate) fn set_scanning(&self, of: u64) -> bool {
        self.read.store(0, Relaxed);
        self.of.store(of, Relaxed);
        let mut is_first = false;
        self.change(|state| {
            state.phase = Phase::Scanning;
            is_first = !std::mem::replace(&mut state.has_scanned, true);
        });
        is_first
    }

    /// Returns a callback that counts the scanned bytes of segments, and ends a scan once the spool is stopped.
    pub(crate) fn on_read(self: &Arc<Self>) -> OnRead {
        let lifecycle = Arc::clone(self);
        Arc::new(move |bytes| {
            lifecycle.read.fetch_add(bytes, Relaxed);
            lifecycle.goes_on()
        })
    }

    /// Checks whether a scan may go on.
    ///
    /// # Errors
    /// The spool is stopped.
    pub(crate) fn goes_on(&self) -> io::Result<()> {
        match self.is_stopping() {
            true => Err(io::Error::other("the spool was closed")),
            false => Ok(()),
        }
    }

    /// Ends a scan and the pauses between attempts.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
        // A thread in `pause` that has read the flag as `false` must already be waiting when the notification is sent.
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }

    /// Blocks for `pause`, or until the spool is stopped.
    pub(crate) fn pause(&self, pause: Duration) {
        let goes_on = |_: &mut State| !self.is_stopping();
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.state), pause, goes_on);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes that the spool is open.
    pub(crate) fn set_open(&self) {
        self.change(|state| state.phase = Phase::Open);
    }

    /// Blocks until the spool is open. The error says why an attempt to open it has failed, or that it was closed.
    pub(crate) fn wait_until_open(&self) -> Result<(), String> {
        let is_opening =
            |state: &mut State| matches!(state.phase, Phase::Scanning) && !state.has_ended;
        let state = self
            .changed
            .wait_while(lock(&self.state), is_opening)
            .unwrap_or_else(PoisonError::into_inner);
        match &state.phase {
            Phase::Open => Ok(()),
            Phase::Waiting(reason) => Err(reason.clone()),
            Phase::Scanning => Err("the spool was closed before it was open".to_owned()),
        }
    }

    /// Notes that the writer thread has ended.
    pub(crate) fn set_ended(&self) {
        self.change(|state| state.has_ended = true);
    }

    /// Blocks until the writer thread has ended, for `timeout` at most. Returns whether the thread has ended.
    pub(crate) fn wait_until_ended(&self, timeout: Duration) -> bool {
        let is_running = |state: &mut State| !state.has_ended;
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.state), timeout, is_running);
        let (state, _): (MutexGuard<'_, State>, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.has_ended
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }
}

/// Notes, when it is dropped, that the writer thread has ended, after a panic too.
#[derive(Debug)]
pub(crate) struct EndGuard(pub(crate) Arc<Lifecycle>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.set_ended();
    }
}
