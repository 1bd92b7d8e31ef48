//! `tee.duplicates: drop`: a client that tries again because the local upstream failed must not
//! double its profile at the targets.
//!
//! A request that was teed and whose client got no 2xx is remembered: surface, query and body. The
//! same request within two minutes is relayed and not teed.
//!
//! Invariants:
//!
//! - As long as nothing fails, no body is digested but those that do not fit into what may be held.
//! - What is held for an answer is bounded in bytes, apart from the queues: an upstream that hangs
//!   must not use up the memory that recordings need.
//! - No step on a thread that serves requests digests more than a frame, or [`digest::AT_ONCE`] bytes.
//! - In doubt a request is teed: a profile too many is less than one too few.

mod digest;
mod memory;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyrotee_queue::{Budget, Record, Reservation, SurfaceId, lock};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use super::verdict::{Pending, Verdict};
use digest::Digest;
pub(super) use digest::Suspicion;
use memory::Memory;
pub(super) use memory::{Key, Opening};

/// Most bytes of records that are held until the upstream answers: some of the largest that SDKs send,
/// which are 5 to 20 MB, need no digest as long as nothing fails.
const MOST_HELD: u64 = 16 * 1024 * 1024;

/// Most tries that are remembered, at 250 bytes each (measured).
const MOST_TRIES: u64 = 16_384;

/// Failed tries, and those that may become such.
#[derive(Debug)]
pub(crate) struct Repeats {
    failed: Mutex<Memory>,
    /// Whether there are any: what a request asks first.
    any: AtomicBool,
    /// Nobody outside can choose queries that collide.
    hasher: RandomState,
    /// Pays for records that are held until the upstream answers.
    held: Arc<Budget>,
    /// Pays for records that wait to be digested.
    digesting: Arc<Budget>,
    /// One body after the other.
    turn: Semaphore,
    /// Told of every failed try that has its digest, or will never have one.
    digested: Notify,
    tasks: TaskTracker,
    runtime: Handle,
}

/// A try whose end is awaited.
#[derive(Debug)]
pub(super) enum Try {
    /// Its record is kept, so that it can be digested should it fail.
    Held {
        record: Arc<Record>,
        _charge: Reservation,
    },
    /// It is digested already.
    Digested(Key),
}

impl Repeats {
    /// `memory_limit` bounds all that the relay captures. Digests are made on `runtime`, in `tasks`.
    pub(crate) fn new(memory_limit: u64, tasks: TaskTracker, runtime: Handle) -> Arc<Self> {
        let tries = (memory_limit / MOST_TRIES).clamp(64, MOST_TRIES);
        Arc::new(Self {
            failed: Mutex::new(Memory::new(usize::try_from(tries).unwrap_or(64))),
            any: AtomicBool::new(false),
            hasher: RandomState::new(),
            held: Budget::new(MOST_HELD.min(memory_limit / 8)),
            digesting: Budget::new(memory_limit / 4),
            turn: Semaphore::new(1),
            digested: Notify::new(),
            tasks,
            runtime,
        })
    }

    /// What is known of a request before its body.
    pub(super) fn opening(&self, surface: SurfaceId, query: &str, len: Option<u64>) -> Opening {
        let head = self.hasher.hash_one((surface, query));
        Opening { head, len }
    }

    /// If a request that opens so may repeat a failed try, its body must be digested while it passes.
    pub(super) fn suspect(&self, opening: Opening) -> Option<Box<Suspicion>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let turn = self.change(|failed| failed.suspects(opening))?;
        Some(Box::new(Suspicion::new(opening.head, turn)))
    }

    /// A try has failed. As long as the guard lives, a repetition is suspected although there is no
    /// digest yet: the client may come again before its first body was read on.
    pub(super) fn expect(self: &Arc<Self>, opening: Opening) -> ExpectGuard {
        let turn = self.change(|failed| failed.expect(opening));
        ExpectGuard {
            repeats: Arc::clone(self),
            opening,
            turn,
        }
    }

    /// Whether a whole request repeats a failed try.
    pub(super) fn knows(&self, key: &Key) -> bool {
        lock(&self.failed).knows(key)
    }

    /// Whether that cannot be said yet, as what had failed by `turn` has no digest.
    pub(super) fn must_wait(&self, key: &Key, turn: u64) -> bool {
        let failed = lock(&self.failed);
        failed.expects(key, turn) && !failed.knows(key)
    }

    /// Does `then` when it can be said.
    pub(super) fn once_known(
        self: &Arc<Self>,
        key: Key,
        turn: u64,
        then: impl FnOnce() + Send + 'static,
    ) {
        let repeats = Arc::clone(self);
        let wait = async move {
            loop {
                // Told of every digest from here on, so that none is missed between the two.
                let digested = repeats.digested.notified();
                if !repeats.must_wait(&key, turn) {
                    break;
                }
                digested.await;
            }
            then();
        };
        self.tasks.spawn_on(wait, &self.runtime);
    }

    /// `record` has gone to a target at least; `key` is its own if it was digested. What becomes of
    /// the try is for `verdict` to say.
    pub(super) fn teed(
        self: &Arc<Self>,
        verdict: &Arc<Verdict>,
        record: Arc<Record>,
        key: Option<Key>,
    ) {
        let attempt = if let Some(key) = key {
            Try::Digested(key)
        } else if let Some(charge) = self.held.reserve(cost(&record)) {
            Try::Held {
                record,
                _charge: charge,
            }
        } else if digest::is_short(&record) {
            Try::Digested(self.key(&record, digest::whole(&record)))
        } else {
            return self.digest_later(verdict, record);
        };
        verdict.whole(Pending::Try(attempt));
    }

    /// A try has ended, with a 2xx or not.
    pub(super) fn ended(self: &Arc<Self>, verdict: &Arc<Verdict>, attempt: Try, success: bool) {
        match attempt {
            Try::Held { .. } if success => {}
            Try::Held { record, .. } if digest::is_short(&record) => {
                self.remember(self.key(&record, digest::whole(&record)));
            }
            Try::Held { record, .. } => self.digest_later(verdict, record),
            Try::Digested(key) if success => self.change(|failed| failed.forget(&key)),
            Try::Digested(key) => self.remember(key),
        }
    }

    /// Digests a long record piece by piece, between the requests, and tells `verdict` then.
    fn digest_later(self: &Arc<Self>, verdict: &Arc<Verdict>, record: Arc<Record>) {
        // One body may be digested however large it is.
        let share = cost(&record).min(self.digesting.limit());
        let Some(charge) = self.digesting.reserve(share) else {
            // Bodies come faster than they are digested: this try is not remembered.
            return;
        };
        let (repeats, verdict) = (Arc::clone(self), Arc::clone(verdict));
        let digest = async move {
            let _turn = repeats.turn.acquire().await;
            let key = repeats.key(&record, digest::piecewise(&record).await);
            drop((record, charge));
            verdict.whole(Pending::Try(Try::Digested(key)));
        };
        self.tasks.spawn_on(digest, &self.runtime);
    }

    fn key(&self, record: &Record, digest: Digest) -> Key {
        let (head, len) = (record.head(), record.len());
        Key {
            head: self.opening(head.surface, &head.query, None).head,
            len,
            digest,
        }
    }

    fn remember(&self, key: Key) {
        self.change(|failed| failed.remember(key));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        let mut failed = lock(&self.failed);
        let changed = change(&mut failed);
        self.any.store(!failed.is_empty(), Ordering::Release);
        changed
    }
}

/// A try that failed and has no digest yet.
#[derive(Debug)]
pub(super) struct ExpectGuard {
    repeats: Arc<Repeats>,
    opening: Opening,
    turn: u64,
}

impl Drop for ExpectGuard {
    fn drop(&mut self) {
        let repeats = &self.repeats;
        repeats.change(|failed| failed.expect_no_more(self.opening, self.turn));
        repeats.digested.notify_waiters();
    }
}

/// Bytes of memory that a record takes: the same as the global budget is charged.
fn cost(record: &Record) -> u64 {
    Record::OVERHEAD + record.head().len() as u64 + record.len()
}
