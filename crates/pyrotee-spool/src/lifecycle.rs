//! The life of a spool: why it is not open yet, when it is stopped, and when its writer thread has ended.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyrotee_queue::lock;

/// Whether a spool is open. Until it is, records stay in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The directory cannot be used now. It is tried again.
    Waiting {
        /// Why, and what to do.
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

/// The life of one spool, which its threads and its handles share.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    state: Mutex<State>,
    /// Notified after each change of the state.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// When the first attempt to open failed.
    waiting_since: Option<Instant>,
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
            (Phase::Waiting(_) | Phase::Scanning, _) => Opening::Scanning { read: 0, of: 0 },
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(lock(&self.state).phase, Phase::Open)
    }

    /// Notes that the spool is open.
    pub(crate) fn set_open(&self) {
        self.change(|state| state.phase = Phase::Open);
    }

    /// Blocks until the spool is open, or until an attempt to open it has failed: the reason.
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

    /// Blocks until the writer thread has ended: `true`, or until `timeout` has passed.
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

/// Notes the end of the writer thread when it is dropped: after a panic, too.
#[derive(Debug)]
pub(crate) struct EndGuard(pub(crate) std::sync::Arc<Lifecycle>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.set_ended();
    }
}
