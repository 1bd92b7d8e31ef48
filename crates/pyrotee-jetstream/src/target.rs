//! One target whose backlog is shared: its queue in memory, its stream, and what its tasks know.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_nats::jetstream::{AckKind, stream};
use pyrotee_queue::{
    Limits, LogLimiter, MemoryQueue, Queue, QueueId, Reason, Record, Sharing, SurfaceId, Tally,
    lock,
};
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::counters::Counters;
use crate::link::Session;
use crate::names;
use crate::obstacle::Obstacles;
use crate::parts::Parts;
use crate::shelf::{Received, Shelf};
use crate::streams::StreamSpec;

/// Time between two log lines of one kind about a target.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// Whether a target's stream can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    /// The stream was not looked at yet, because NATS has not been connected since the start.
    Waiting,
    /// Records are handed over and taken over while NATS is connected.
    Ready,
    /// The stream cannot be used: why, and what to do.
    Unusable(String),
}

/// What the tasks of a target do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Records are handed over and taken over.
    InForce,
    /// The target was removed: its deliverer drains what is in memory.
    Removed,
    /// The relay stops: all records are handed over from `from` on, and none is taken over.
    Closing { from: Instant },
    /// The deliverer has ended: all records are handed over at once, then the tasks end.
    Finishing,
}

/// A target whose backlog is shared.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: QueueId,
    pub(crate) name: String,
    /// The name of the stream.
    pub(crate) stream: String,
    pub(crate) queue: Arc<Queue<Arc<Record>>>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) shelf: Shelf,
    counters: Mutex<Counters>,
    settings: Mutex<(Arc<Sharing>, Limits)>,
    phase: watch::Sender<Phase>,
    /// The session on which the stream is known to be as it must be. `None`: nothing is published and received.
    ready: watch::Sender<Option<Arc<Session>>>,
    /// The deliverer has ended, and leases no more.
    is_abandoned: AtomicBool,
    /// Makes the keeper look at the stream anew.
    pub(crate) recheck: Notify,
    /// Held while the oldest records of a full stream are purged. The number of purges so far.
    pub(crate) purges: AsyncMutex<u64>,
    pub(crate) state: Mutex<StreamState>,
    pub(crate) gauges: Mutex<Gauges>,
    pub(crate) log: LogLimiter,
    /// What kept records out of the stream.
    pub(crate) obstacles: Obstacles,
    /// Records that are being published.
    pub(crate) publishing: AtomicU64,
    /// Bytes of the bodies of these records.
    pub(crate) publishing_bytes: AtomicU64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The numbers of a stream at the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    pub(crate) waiting: u64,
    pub(crate) bytes: u64,
    /// Most bytes of the stream. `None`: it was not looked at yet, or has no limit.
    pub(crate) max_bytes: Option<u64>,
    pub(crate) oldest: Option<SystemTime>,
    /// Longest message that the stream takes, in bytes. Zero: it was not looked at yet.
    pub(crate) longest: u64,
}

impl Target {
    pub(crate) fn new(parts: &Arc<Parts>, opened: &MemoryQueue, sharing: Sharing) -> Self {
        let name = opened.target.name.clone();
        Self {
            id: opened.id,
            stream: names::stream(&parts.settings.prefix, &name),
            name,
            queue: Arc::clone(&opened.queue),
            parts: Arc::clone(parts),
            shelf: Shelf::default(),
            counters: Mutex::default(),
            settings: Mutex::new((Arc::new(sharing), opened.target.limits)),
            phase: watch::Sender::new(Phase::InForce),
            ready: watch::Sender::new(None),
            is_abandoned: AtomicBool::new(false),
            recheck: Notify::new(),
            purges: AsyncMutex::default(),
            state: Mutex::new(StreamState::Waiting),
            gauges: Mutex::default(),
            log: LogLimiter::new(BETWEEN_LINES),
            obstacles: Obstacles::default(),
            publishing: AtomicU64::new(0),
            publishing_bytes: AtomicU64::new(0),
            tasks: Mutex::default(),
        }
    }

    /// The subject of the records of a surface.
    pub(crate) fn subject(&self, surface: SurfaceId) -> String {
        names::subject(&self.parts.settings.prefix, &self.name, surface)
    }

    pub(crate) fn sharing(&self) -> Arc<Sharing> {
        Arc::clone(&lock(&self.settings).0)
    }

    pub(crate) fn limits(&self) -> Limits {
        lock(&self.settings).1
    }

    /// Takes new settings over.
    pub(crate) fn follow(&self, sharing: Sharing, limits: Limits) {
        let mut settings = lock(&self.settings);
        let is_changed = *settings.0 != sharing;
        *settings = (Arc::new(sharing), limits);
        drop(settings);
        if is_changed {
            self.recheck.notify_one();
        }
    }

    /// Time after which the broker gives an unsettled record to another relay.
    pub(crate) fn ack_wait(&self) -> Duration {
        self.parts.settings.ack_wait(self.sharing().timeout)
    }

    /// What the stream must be like.
    pub(crate) fn spec(&self) -> StreamSpec {
        let sharing = self.sharing();
        StreamSpec {
            target: self.name.clone(),
            max_bytes: sharing.max_bytes,
            max_age: sharing.max_age,
            ack_wait: self.ack_wait(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Enters a phase. After [`Phase::Finishing`] there is no other, after [`Phase::Closing`] only that one.
    pub(crate) fn enter(&self, phase: Phase) {
        let is_changed = self.phase.send_if_modified(|current| {
            let is_later = match *current {
                Phase::Finishing => false,
                Phase::Closing { .. } => phase == Phase::Finishing,
                Phase::InForce | Phase::Removed => *current != phase,
            };
            if is_later {
                *current = phase;
            }
            is_later
        });
        if phase == Phase::Finishing {
            self.is_abandoned.store(true, Relaxed);
            self.queue.notify();
        }
        if !is_changed {
            return;
        }
        if phase == Phase::InForce {
            self.shelf.open();
        } else {
            self.shelf.close();
            self.give_back(self.shelf.take_out(AckKind::Nak(None), |_| true));
        }
    }

    /// Whether the deliverer has ended.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Relaxed)
    }

    /// Drops what is pending here, for `reason`, and gives received records back to the stream.
    pub(crate) fn abandon(&self, reason: Reason) {
        self.shelf.close();
        self.give_back(self.shelf.take_out(AckKind::Nak(None), |_| true));
        self.queue.abandon(reason);
    }

    /// Drops the buffered records of whose time of receipt `is_lost` says so, for `reason`.
    pub(crate) fn lose_buffered(
        &self,
        reason: Reason,
        is_lost: impl Fn(SystemTime) -> bool,
    ) -> Tally {
        let is_lost = |it: &Received| is_lost(it.record.head().received);
        let mut tally = Tally::default();
        for received in self.shelf.take_out(AckKind::Term, is_lost) {
            let bytes = received.record.len();
            self.queue.ledger().lose(bytes, reason);
            tally.add(bytes);
        }
        if tally.profiles > 0 {
            // The queue may have ended.
            self.queue.notify();
        }
        tally
    }

    /// Counts received records that went back to the stream.
    pub(crate) fn give_back(&self, received: Vec<Received>) {
        for received in received {
            self.queue.ledger().hand_over(received.record.len());
        }
        // The queue may have ended.
        self.queue.notify();
    }

    /// The session on which records can be published and received. `None`: they cannot now.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.ready.borrow().clone()
    }

    pub(crate) fn sessions(&self) -> watch::Receiver<Option<Arc<Session>>> {
        self.ready.subscribe()
    }

    pub(crate) fn set_session(&self, session: Option<Arc<Session>>) {
        self.ready.send_if_modified(|current| {
            let number = |it: &Option<Arc<Session>>| it.as_ref().map(|it| it.number);
            let is_changed = number(current) != number(&session);
            *current = session;
            is_changed
        });
    }

    pub(crate) fn set_state(&self, state: StreamState) {
        *lock(&self.state) = state;
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut lock(&self.counters));
    }

    pub(crate) fn counters(&self) -> Counters {
        *lock(&self.counters)
    }

    /// Counts records with sequences below `below` that this relay removed from the stream, for `reason`, and returns how
    /// many were counted. Those that were received here are not: they are pending, and counted when they are settled. Their
    /// bytes are the mean of the stream, which had the state `before`.
    pub(crate) fn count_removed(
        &self,
        removed: u64,
        before: &stream::State,
        below: u64,
        reason: Reason,
    ) -> Tally {
        let profiles = removed.saturating_sub(self.shelf.held_below(below));
        let bytes = (before.bytes / before.messages.max(1)).saturating_mul(profiles);
        let removed = Tally { profiles, bytes };
        self.queue.ledger().drop_shared(removed, reason);
        removed
    }

    pub(crate) fn add_task(&self, task: JoinHandle<()>) {
        lock(&self.tasks).push(task);
    }

    pub(crate) fn take_tasks(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut lock(&self.tasks))
    }
}
