//! How the writer is woken.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pyrotee_queue::lock;

/// A bell that is heard even if nobody listens yet.
#[derive(Debug)]
pub(crate) struct Bell {
    /// Whoever rings it in this time after work makes no system call, and wakes nobody: the woken
    /// thread would often get the processor of the one who rings, in the middle of an offer.
    rest: Duration,
    state: Mutex<State>,
    heard: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    /// Somebody sleeps until it rings.
    listening: bool,
}

impl Bell {
    pub(crate) fn new(rest: Duration) -> Self {
        Self {
            rest,
            state: Mutex::default(),
            heard: Condvar::new(),
        }
    }

    pub(crate) fn ring(&self) {
        let mut state = lock(&self.state);
        state.rung = true;
        let wake = std::mem::take(&mut state.listening);
        drop(state);
        if wake {
            self.heard.notify_one();
        }
    }

    /// Rests, then waits until it rings, or has rung; for so long at most.
    pub(crate) fn wait(&self, at_most: Duration) {
        let rest = self.rest.min(at_most);
        if !rest.is_zero() {
            thread::sleep(rest);
        }
        let mut state = lock(&self.state);
        if !state.rung {
            state.listening = true;
            let waited = self
                .heard
                .wait_timeout_while(state, at_most - rest, |state| !state.rung);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *state = State::default();
    }
}
