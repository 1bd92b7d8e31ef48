//! A record that was taken out of its queue to be published.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pyrotee_queue::{LeasedEntry, Record, RetryHistory};

use crate::target::Target;

/// A record that was taken out of its queue. If it is dropped, for example because its task is aborted, the record goes
/// back to its place.
#[derive(Debug)]
pub(super) struct Taken {
    target: Arc<Target>,
    leased: Option<LeasedEntry<Arc<Record>>>,
    /// Length of the body.
    bytes: u64,
}

impl Taken {
    pub(super) fn new(target: Arc<Target>, leased: LeasedEntry<Arc<Record>>) -> Self {
        target.publishing.fetch_add(1, Relaxed);
        let bytes = leased.record().len();
        target.publishing_bytes.fetch_add(bytes, Relaxed);
        let leased = Some(leased);
        Self {
            target,
            leased,
            bytes,
        }
    }

    /// Length of the body, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.bytes
    }

    /// The record and its history. `None`: never, while the value exists.
    pub(super) fn record(&self) -> Option<(&Arc<Record>, RetryHistory)> {
        let leased = self.leased.as_ref()?;
        Some((leased.record(), leased.history()))
    }

    /// The stream has the record now.
    pub(super) fn hand_over(mut self) {
        if let Some(leased) = self.leased.take() {
            self.target.queue.hand_over(leased);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.target.publishing.fetch_sub(1, Relaxed);
        self.target.publishing_bytes.fetch_sub(self.bytes, Relaxed);
        if let Some(leased) = self.leased.take() {
            self.target.queue.put_back(leased);
        }
    }
}
