//! The requests for records that are not answered yet.

use std::collections::BTreeMap;
use std::time::Duration;

use pyrotee_queue::{Reservation, SurfaceId, Surfaces};
use tokio::time::Instant;

use crate::pace::Pace;
use crate::target::Target;

/// Bytes that a received record may cost beside its message.
pub(super) const BESIDE: u64 = 4_096;

/// Longest time for the answer to a request. It takes longer if the broker is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The requests of one session.
#[derive(Debug)]
pub(super) struct Asks {
    /// By their numbers, in the order in which they were sent.
    unanswered: BTreeMap<u64, Ask>,
    next: u64,
    surfaces: Vec<AskedSurface>,
}

#[derive(Debug)]
struct Ask {
    surface: SurfaceId,
    /// What the record may cost.
    charged: Reservation,
    sent: Instant,
}

#[derive(Debug)]
struct AskedSurface {
    surface: SurfaceId,
    /// Not asked before, because there was no record.
    next: Instant,
    /// How long it was not asked the last time. Zero after a record.
    pause: Duration,
    asked: u64,
}

impl Asks {
    pub(super) fn new(target: &Target) -> Self {
        let parts = &target.parts;
        let surfaces = parts.settings.surfaces.iter();
        let surfaces = surfaces.map(|(number, _)| AskedSurface {
            surface: SurfaceId(*number),
            next: Instant::now(),
            pause: parts.pace.between_asks.0,
            asked: 0,
        });
        Self {
            unanswered: BTreeMap::new(),
            next: 0,
            surfaces: surfaces.collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether `wanted` has a surface that can be asked for.
    pub(super) fn want_any(&self, wanted: u64) -> bool {
        self.surfaces.iter().any(|it| it.is_in(wanted))
    }

    /// The surface to ask for next: of those that are wanted, the one that was asked for least often. `None`: there was
    /// no record of any of them a moment ago.
    pub(super) fn next(&self, wanted: u64, now: Instant) -> Option<SurfaceId> {
        let surfaces = self.surfaces.iter();
        let due = surfaces.filter(|it| it.is_in(wanted) && it.next <= now);
        let least = due.min_by_key(|it| (self.unanswered_for(it.surface), it.asked))?;
        // Only while there are records, a second request is sent before the first is answered.
        let is_sent = least.is_fruitful() || self.unanswered_for(least.surface) == 0;
        is_sent.then_some(least.surface)
    }

    fn unanswered_for(&self, surface: SurfaceId) -> usize {
        let asks = self.unanswered.values();
        asks.filter(|it| it.surface == surface).count()
    }

    /// Notes a request. Returns its number.
    pub(super) fn add(&mut self, surface: SurfaceId, charged: Reservation, sent: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        let ask = Ask {
            surface,
            charged,
            sent,
        };
        self.unanswered.insert(number, ask);
        if let Some(it) = self.surfaces.iter_mut().find(|it| it.surface == surface) {
            it.asked += 1;
        }
        number
    }

    /// Notes that a record came. Returns what was charged for it. `None`: it was not asked for, or too long ago.
    pub(super) fn found(&mut self, surface: SurfaceId) -> Option<Reservation> {
        if let Some(it) = self.surfaces.iter_mut().find(|it| it.surface == surface) {
            (it.pause, it.next) = (Duration::ZERO, Instant::now());
        }
        let mut asks = self.unanswered.iter();
        let (number, _) = asks.find(|(_, ask)| ask.surface == surface)?;
        let number = *number;
        let ask = self.unanswered.remove(&number)?;
        Some(ask.charged)
    }

    /// Notes that there was no record.
    pub(super) fn found_none(&mut self, number: Option<u64>, now: Instant, pace: Pace) {
        let Some(ask) = number.and_then(|number| self.unanswered.remove(&number)) else {
            return;
        };
        let mut surfaces = self.surfaces.iter_mut();
        if let Some(it) = surfaces.find(|it| it.surface == ask.surface) {
            let (shortest, longest) = pace.between_asks;
            if it.next <= now {
                it.pause = it.pause.saturating_mul(2).clamp(shortest, longest);
                it.next = now + it.pause;
            }
        }
    }

    /// Forgets the requests that will not be answered. Returns whether there are such.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.len();
        self.unanswered.retain(|_, ask| ask.sent + PATIENCE > now);
        self.len() < before
    }

    /// When a surface can be asked for again. `None`: all answers are waited for, or nothing is wanted.
    pub(super) fn next_look(&self, wanted: u64) -> Option<Instant> {
        let surfaces = self.surfaces.iter().filter(|it| it.is_in(wanted));
        let free = surfaces.filter(|it| self.unanswered_for(it.surface) == 0);
        free.map(|it| it.next).min()
    }
}

impl AskedSurface {
    fn is_in(&self, wanted: u64) -> bool {
        wanted & Surfaces::NONE.with(self.surface).bits() != 0
    }

    /// Whether the last answer was a record.
    fn is_fruitful(&self) -> bool {
        self.pause.is_zero()
    }
}
