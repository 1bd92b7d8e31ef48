//! `tee.duplicates: drop`: recognises a client's retry of a profile that was teed, so that the
//! targets do not get it twice.
//!
//! A request that was teed and whose client got no 2xx is a failed attempt. It is remembered by
//! surface, query and body. The same request within two minutes is forwarded and not teed.
//!
//! Invariants:
//!
//! - While no attempt fails, only bodies that exceed the budget for held records are digested.
//! - Records held until the response arrives have a budget of their own: an upstream that hangs
//!   must not use up the memory that captures need.
//! - A thread that serves requests digests at most one frame, or [`digest::STEP_BYTES`], per step.
//! - In doubt a request is teed: a duplicate does less harm than a lost profile.

mod digest;
mod failed_attempts;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyrotee_queue::{Budget, Record, Reservation, SurfaceId, lock};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use digest::Digest;
pub(crate) use digest::Digesting;
use failed_attempts::FailedAttempts;
pub(crate) use failed_attempts::{Fingerprint, RequestKey};

/// Maximum size of all records that are held until the upstream responds, in bytes. SDKs send profiles
/// of up to 5 to 20 MB.
const MAX_HELD_BYTES: u64 = 16 * 1024 * 1024;

/// Maximum number of failed attempts, at 250 bytes of memory each (measured).
const MAX_ATTEMPTS: u64 = 16_384;

/// Recognises the retries of failed attempts.
#[derive(Debug)]
pub(crate) struct RetryFilter {
    failed: Mutex<FailedAttempts>,
    /// Whether `failed` has any entry. Requests check this first, without the lock.
    any_failed: AtomicBool,
    /// Randomly seeded, so that a client cannot choose queries that collide.
    hasher: RandomState,
    /// Reserved by records that are held until the upstream responds.
    held_budget: Arc<Budget>,
    /// Reserved by records that wait to be digested.
    digest_budget: Arc<Budget>,
    /// One permit: long records are digested one after the other.
    digest_permit: Semaphore,
    /// Notified when an undigested attempt is digested, or never will be.
    undigested_removed: Notify,
    tasks: TaskTracker,
    runtime: Handle,
}

/// An attempt of a client to send a profile that is teed, until its response is known.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The record is held, to be digested if the attempt fails.
    Held {
        record: Arc<Record>,
        _reservation: Reservation,
    },
    /// The body is digested.
    Digested(RequestKey),
}

/// The owner of an [`Attempt`]: it waits for the response, and then calls
/// [`RetryFilter::attempt_ended`].
pub(crate) trait AttemptOwner: Send + Sync + 'static {
    /// Takes the attempt. Called a second time, with the digest, if a long record was held and its attempt
    /// has failed.
    fn attempt_made(self: &Arc<Self>, attempt: Attempt);
}

impl RetryFilter {
    /// A filter whose limits are shares of `memory_limit`, in bytes. Long records are digested on
    /// `runtime`, in `tasks`.
    pub(crate) fn new(memory_limit: u64, tasks: TaskTracker, runtime: Handle) -> Arc<Self> {
        let attempts = (memory_limit / MAX_ATTEMPTS).clamp(64, MAX_ATTEMPTS);
        let attempts = usize::try_from(attempts).unwrap_or(64);
        Arc::new(Self {
            failed: Mutex::new(FailedAttempts::new(attempts)),
            any_failed: AtomicBool::new(false),
            hasher: RandomState::new(),
            held_budget: Budget::new(MAX_HELD_BYTES.min(memory_limit / 8)),
            digest_budget: Budget::new(memory_limit / 4),
            digest_permit: Semaphore::new(1),
            undigested_removed: Notify::new(),
            tasks,
            runtime,
        })
    }

    /// Returns the fingerprint of a request whose client announced `len` bytes of body.
    pub(crate) fn fingerprint(
        &self,
        surface: SurfaceId,
        query: &str,
        len: Option<u64>,
    ) -> Fingerprint {
        let head = self.hasher.hash_one((surface, query));
        Fingerprint { head, len }
    }

    /// Starts the digest of a body, if the request may be a retry.
    pub(crate) fn start_digest(&self, fingerprint: Fingerprint) -> Option<Box<Digesting>> {
        if !self.any_failed.load(Ordering::Acquire) {
            return None;
        }
        let generation = self.update(|failed| failed.may_be_retry(fingerprint))?;
        Some(Box::new(Digesting::new(fingerprint.head, generation)))
    }

    /// Adds an attempt that failed before it was digested: its client may retry before its body was
    /// read to the end. The attempt counts as undigested until the guard is dropped.
    pub(crate) fn add_undigested(self: &Arc<Self>, fingerprint: Fingerprint) -> UndigestedGuard {
        let generation = self.update(|failed| failed.add_undigested(fingerprint));
        UndigestedGuard {
            filter: Arc::clone(self),
            fingerprint,
            generation,
        }
    }

    /// Whether a complete request is a retry of a failed attempt.
    pub(crate) fn is_retry(&self, key: &RequestKey) -> bool {
        lock(&self.failed).contains(key)
    }

    /// Whether it is unknown if a complete request is a retry, because an attempt that failed up to
    /// `generation` is not digested yet.
    pub(crate) fn is_undecided(&self, key: &RequestKey, generation: u64) -> bool {
        let failed = lock(&self.failed);
        failed.matches_undigested(key, generation) && !failed.contains(key)
    }

    /// Spawns a task that calls `then` once [`Self::is_undecided`] is false.
    pub(crate) fn when_decided(
        self: &Arc<Self>,
        key: RequestKey,
        generation: u64,
        then: impl FnOnce() + Send + 'static,
    ) {
        let filter = Arc::clone(self);
        let wait = async move {
            loop {
                // Created before the check, so that no notification between the two is missed.
                let removed = filter.undigested_removed.notified();
                if !filter.is_undecided(&key, generation) {
                    break;
                }
                removed.await;
            }
            then();
        };
        self.tasks.spawn_on(wait, &self.runtime);
    }

    /// Gives `owner` the attempt of a record that at least one target's queue took. `key` is `Some` if
    /// the body was digested while it passed.
    pub(crate) fn record_taken(
        self: &Arc<Self>,
        owner: &Arc<impl AttemptOwner>,
        record: Arc<Record>,
        key: Option<RequestKey>,
    ) {
        let attempt = if let Some(key) = key {
            Attempt::Digested(key)
        } else if let Some(reservation) = self.held_budget.reserve(cost(&record)) {
            Attempt::Held {
                record,
                _reservation: reservation,
            }
        } else if digest::is_short(&record) {
            Attempt::Digested(self.key(&record, digest::digest_short(&record)))
        } else {
            return self.digest_later(owner, record);
        };
        owner.attempt_made(attempt);
    }

    /// Forgets an attempt whose response was a success, and remembers any other.
    pub(crate) fn attempt_ended(
        self: &Arc<Self>,
        owner: &Arc<impl AttemptOwner>,
        attempt: Attempt,
        success: bool,
    ) {
        match attempt {
            Attempt::Held { .. } if success => {}
            Attempt::Held { record, .. } if digest::is_short(&record) => {
                self.remember(self.key(&record, digest::digest_short(&record)));
            }
            Attempt::Held { record, .. } => self.digest_later(owner, record),
            Attempt::Digested(key) if success => self.update(|failed| failed.remove(&key)),
            Attempt::Digested(key) => self.remember(key),
        }
    }

    /// Spawns a task that digests a long record, and then gives the attempt to `owner`.
    fn digest_later(self: &Arc<Self>, owner: &Arc<impl AttemptOwner>, record: Arc<Record>) {
        // A record larger than the whole budget may still be digested, alone.
        let share = cost(&record).min(self.digest_budget.limit());
        let Some(reservation) = self.digest_budget.reserve(share) else {
            // Records arrive faster than they are digested: this attempt is not remembered.
            return;
        };
        let (filter, owner) = (Arc::clone(self), Arc::clone(owner));
        let digest = async move {
            let _permit = filter.digest_permit.acquire().await;
            let key = filter.key(&record, digest::digest_long(&record).await);
            drop((record, reservation));
            owner.attempt_made(Attempt::Digested(key));
        };
        self.tasks.spawn_on(digest, &self.runtime);
    }

    fn key(&self, record: &Record, digest: Digest) -> RequestKey {
        let (head, len) = (record.head(), record.len());
        RequestKey {
            head: self.fingerprint(head.surface, &head.query, None).head,
            len,
            digest,
        }
    }

    fn remember(&self, key: RequestKey) {
        self.update(|failed| failed.add(key));
    }

    fn update<T>(&self, update: impl FnOnce(&mut FailedAttempts) -> T) -> T {
        let mut failed = lock(&self.failed);
        let updated = update(&mut failed);
        self.any_failed.store(!failed.is_empty(), Ordering::Release);
        updated
    }
}

/// Marks a failed attempt as undigested until it is dropped.
#[derive(Debug)]
pub(crate) struct UndigestedGuard {
    filter: Arc<RetryFilter>,
    fingerprint: Fingerprint,
    generation: u64,
}

impl Drop for UndigestedGuard {
    fn drop(&mut self) {
        let filter = &self.filter;
        filter.update(|failed| failed.remove_undigested(self.fingerprint, self.generation));
        filter.undigested_removed.notify_waiters();
    }
}

/// Returns the memory that a record takes, in bytes, as the global budget counts it.
fn cost(record: &Record) -> u64 {
    Record::OVERHEAD + record.head().len() as u64 + record.len()
}
