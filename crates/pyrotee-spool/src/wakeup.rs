//! The wake-up of the writer thread, after a minimum sleep.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pyrotee_queue::lock;

/// Wakes the writer thread. A notification that comes while the writer works is kept for its next wait.
#[derive(Debug)]
pub(crate) struct WriterWakeup {
    /// Minimum sleep after a batch. A notification during it only sets a flag, without a futex wake-up: the woken
    /// thread would often preempt the notifying thread, in the middle of an offer.
    min_sleep: Duration,
    state: Mutex<State>,
    condvar: Condvar,
}

#[derive(Debug, Default)]
struct State {
    notified: bool,
    /// The writer waits for the condition variable.
    waiting: bool,
}

impl WriterWakeup {
    pub(crate) fn new(min_sleep: Duration) -> Self {
        Self {
            min_sleep,
            state: Mutex::default(),
            condvar: Condvar::new(),
        }
    }

    pub(crate) fn notify(&self) {
        let mut state = lock(&self.state);
        state.notified = true;
        let wake = std::mem::take(&mut state.waiting);
        drop(state);
        if wake {
            self.condvar.notify_one();
        }
    }

    /// Sleeps for the minimum, then until there is a notification; for `at_most` in all.
    pub(crate) fn wait(&self, at_most: Duration) {
        let min_sleep = self.min_sleep.min(at_most);
        if !min_sleep.is_zero() {
            thread::sleep(min_sleep);
        }
        self.wait_for_notification(at_most - min_sleep);
    }

    /// Sleeps until there is a notification, for `at_most`.
    pub(crate) fn wait_for_notification(&self, at_most: Duration) {
        let mut state = lock(&self.state);
        if !state.notified {
            state.waiting = true;
            let waited = self
                .condvar
                .wait_timeout_while(state, at_most, |state| !state.notified);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *state = State::default();
    }
}
