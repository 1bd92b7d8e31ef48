//! Hands records over: takes them out of a target's queue in memory and publishes them to its stream.
//!
//! A record is handed over when it waited longer than `after`; when it is the oldest of a queue above three quarters of a
//! limit, or while the memory limit is nearly reached; and when the relay stops. While NATS is away nothing is taken.

mod answer;
mod buffer;
mod publish;
mod room;
mod taken;

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pyrotee_queue::{Record, Tally, Waiting, lock};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::obstacle::Obstacle;
use crate::parts::MOST_PUBLISHES;
use crate::record;
use crate::target::{Phase, Target};
use publish::{Pause, Publish};
use taken::Taken;

/// Most bytes of one target that are being published.
const MOST_BYTES: u64 = 8 << 20;

/// Shortest and longest time between two looks at an empty queue.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Time between two looks while the queue is pressed, or the relay stops.
const SHORT_PAUSE: Duration = Duration::from_millis(200);

/// Most records that are remembered because they are too long.
const MOST_REMEMBERED: usize = 256;

/// The tunnel of one target.
#[derive(Debug)]
pub(crate) struct Tunnel {
    target: Arc<Target>,
    publishing: JoinSet<Pause>,
    /// Nothing is taken before.
    paused_until: Option<Instant>,
    /// Publishes that failed since the last that did not.
    failures: u32,
    /// The too long records that are counted.
    oversized: VecDeque<Weak<Record>>,
}

impl Tunnel {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            publishing: JoinSet::new(),
            paused_until: None,
            failures: 0,
            oversized: VecDeque::new(),
        }
    }

    /// Hands records over until the relay stops and nothing is left to be handed over.
    pub(crate) async fn run(mut self) {
        let target = Arc::clone(&self.target);
        let (mut phases, mut sessions) = (target.phases(), target.sessions());
        loop {
            let phase = *phases.borrow_and_update();
            let is_connected = sessions.borrow_and_update().is_some();
            if is_connected {
                target.queue.watch_pressure();
                self.take(phase);
            }
            if phase == Phase::Finishing && self.is_done(is_connected) {
                return;
            }
            let next_look = self.next_look(phase);
            tokio::select! {
                // A publish that panicked has put its record back.
                Some(ended) = self.publishing.join_next() => {
                    self.note(ended.unwrap_or(Pause::AfterError));
                }
                // The senders are in `target`, so these are never errors.
                _ = phases.changed() => {}
                _ = sessions.changed() => {}
                () = target.queue.pressed(), if is_connected => {}
                () = sleep_until(next_look), if is_connected => {}
            }
        }
    }

    /// Whether nothing is left to be handed over. If connected, the last attempt to take a record found none.
    fn is_done(&self, is_connected: bool) -> bool {
        let is_empty = || self.target.queue.ledger().snapshot().pending == Tally::default();
        let found_none = is_connected && self.paused_until.is_none();
        self.publishing.is_empty() && (found_none || is_empty())
    }

    /// Takes records out, as many as may be published at a time.
    fn take(&mut self, phase: Phase) {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        while self.paused_until.is_none()
            && self.has_room()
            && let Some(taken) = self.take_one(phase)
        {
            let publish = Publish::new(Arc::clone(&self.target), taken);
            self.publishing.spawn(publish.run());
        }
    }

    /// Whether another record may be published now. What is being published counts as leased in the queue, and must not
    /// fill it while the broker does not answer.
    fn has_room(&self) -> bool {
        let limits = self.target.limits();
        let records = (limits.records / 4).clamp(1, MOST_PUBLISHES);
        let of_memory = self.target.parts.budget.most_held() / 8;
        let bytes = (limits.bytes / 4).min(MOST_BYTES).min(of_memory);
        self.publishing.is_empty()
            || (self.publishing.len() < records
                && self.target.publishing_bytes.load(Relaxed) < bytes)
    }

    fn take_one(&mut self, phase: Phase) -> Option<Taken> {
        let target = &self.target;
        let longest = lock(&target.gauges).longest;
        let waiting = match phase {
            Phase::Removed => return None,
            Phase::Finishing => Waiting::Any,
            Phase::Closing { from } if from <= Instant::now() => Waiting::Any,
            _ if target.queue.is_pressed() || target.parts.budget.is_nearly_full() => {
                Waiting::Oldest
            }
            Phase::InForce | Phase::Closing { .. } => Waiting::For(target.parts.settings.after),
        };
        let sharing = target.sharing();
        let mut too_long = Vec::new();
        let fits = |record: &Arc<Record>| {
            let fits = record::message_len(record, &sharing.tags) <= longest;
            if !fits && too_long.len() < MOST_REMEMBERED {
                too_long.push(Arc::downgrade(record));
            }
            fits
        };
        let leased = target.queue.take_waiting(waiting, fits);
        let taken = leased.map(|leased| Taken::new(Arc::clone(target), leased));
        self.count_oversized(too_long);
        taken
    }

    /// Counts records that are too long for the broker, each once.
    fn count_oversized(&mut self, too_long: Vec<Weak<Record>>) {
        for record in too_long {
            if self.oversized.iter().any(|known| known.ptr_eq(&record)) {
                continue;
            }
            self.target.count(|it| it.oversized += 1);
            self.target.obstacles.meet(Obstacle::Oversized);
            if let Some(left_out) = self.target.log.due("oversized") {
                let length = record.upgrade().map(|record| record.len());
                let target = &self.target.name;
                warn!(
                    target,
                    length,
                    remedy = Obstacle::Oversized.remedy(),
                    left_out,
                    "a profile is longer than NATS takes and stays in memory"
                );
            }
            self.oversized.retain(|known| known.strong_count() > 0);
            if self.oversized.len() >= MOST_REMEMBERED {
                self.oversized.pop_front();
            }
            self.oversized.push_back(record);
        }
    }

    /// Notes the end of a publish.
    fn note(&mut self, pause: Pause) {
        match pause {
            Pause::None => self.failures = 0,
            Pause::For(pause) => self.pause(pause),
            Pause::AfterError => {
                let (shortest, longest) = self.target.parts.pace.after_error;
                let pause = shortest.saturating_mul(1 << self.failures.min(10));
                self.failures = self.failures.saturating_add(1);
                self.pause(pause.min(longest));
            }
        }
    }

    fn pause(&mut self, pause: Duration) {
        let pause = match self.target.phase() {
            Phase::Closing { .. } | Phase::Finishing => pause.min(SHORT_PAUSE),
            Phase::InForce | Phase::Removed => pause,
        };
        let until = Instant::now() + pause;
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// When to look at the queue again if nothing happens before.
    fn next_look(&self, phase: Phase) -> Instant {
        let now = Instant::now();
        if let Some(paused_until) = self.paused_until {
            return paused_until;
        }
        let after = self.target.parts.settings.after;
        let is_pressed = || self.target.queue.is_pressed();
        match phase {
            Phase::Finishing => now + SHORT_PAUSE,
            Phase::Closing { from } => from.max(now + SHORT_PAUSE),
            Phase::InForce if self.target.parts.budget.is_nearly_full() || is_pressed() => {
                now + SHORT_PAUSE
            }
            Phase::InForce | Phase::Removed => {
                // The budget may become nearly full without a word.
                let longest = now + LONGEST_PAUSE;
                match self.target.queue.oldest_untried() {
                    // It is too long, or waits for those that are being published.
                    Some(oldest) if oldest + after <= now => now + SHORT_PAUSE,
                    Some(oldest) => (oldest + after).min(longest),
                    None => (now + after).clamp(now + SHORTEST_PAUSE, longest),
                }
            }
        }
    }
}

/// Publishes one message twice under the same id. Both are stored, as far as the publisher sees.
#[cfg(test)]
pub(crate) async fn answer_of_repeated(backend: &crate::backend::Backend, target: &str) {
    let target = backend.target(target).expect("there is such a target");
    let session = target.session().expect("it is connected");
    let parts = &backend.parts;
    let id = parts.ids.next();
    for _ in 0..2 {
        let subject = target.subject(pyrotee_queue::SurfaceId(1));
        let content = bytes::Bytes::from_static(b"twice");
        let patience = parts.pace.puback;
        let answer = answer::publish(&parts.link, &session, subject, &id, content, patience);
        assert_eq!(answer.await, answer::Answer::Stored);
    }
}
