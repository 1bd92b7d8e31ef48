//! A gate that holds up calls of the simulated disk.

use std::sync::{Condvar, Mutex, PoisonError};

use pyrotee_queue::lock;

/// Holds up calls of the disk while it is closed.
#[derive(Debug, Default)]
pub(in super::super) struct Gate {
    closed: Mutex<bool>,
    /// Number of calls that are held up.
    waiting: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    /// From now on calls do not return until the gate is opened.
    pub(in super::super) fn close(&self) {
        *lock(&self.closed) = true;
    }

    pub(in super::super) fn open(&self) {
        *lock(&self.closed) = false;
        self.changed.notify_all();
    }

    /// Whether a call is held up.
    pub(in super::super) fn is_waiting(&self) -> bool {
        *lock(&self.waiting) > 0
    }

    pub(super) fn pass(&self) {
        *lock(&self.waiting) += 1;
        let closed = self
            .changed
            .wait_while(lock(&self.closed), |closed| *closed);
        drop(closed.unwrap_or_else(PoisonError::into_inner));
        *lock(&self.waiting) -= 1;
    }
}
