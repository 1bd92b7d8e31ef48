//! The ids by which a stream recognises a record that is published twice.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Makes the ids of messages: different ones in all processes.
#[derive(Debug)]
pub(crate) struct MessageIds {
    boot: u128,
    next: AtomicU64,
}

impl MessageIds {
    pub(crate) fn random() -> Self {
        Self {
            boot: fastrand::u128(..),
            next: AtomicU64::new(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Relaxed);
        format!("{:032x}-{number}", self.boot)
    }
}
