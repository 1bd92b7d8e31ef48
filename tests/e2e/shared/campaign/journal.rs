//! The observations of clients and of the target in a campaign, and the losses and duplicates that follow from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::{Duration, Instant},
};

/// A profile that was answered with a 200: the life of the relay that took it, and when the response came.
#[derive(Clone, Copy, Debug)]
struct Answered {
    life: usize,
    at: Instant,
    took: Duration,
}

/// What a relay held when it was killed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Profiles that only its memory had, at most.
    pub(super) pending: u64,
    /// Profiles whose lease or publish may have been repeated by others, at most.
    pub(super) in_flight: u64,
    /// Whether the broker was connected for so long that what is older than `after` was handed over.
    pub(super) is_handed_over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    next: usize,
    answered: BTreeMap<usize, Answered>,
    /// Profiles that the target was sent. One that it did not accept is retried from the memory of its relay.
    tried: BTreeSet<usize>,
    /// How often the target accepted each profile.
    had: BTreeMap<usize, u64>,
    kills: BTreeMap<usize, (Instant, Held)>,
}

/// The judgement of a campaign.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) answered: usize,
    pub(super) arrived: usize,
    /// Missing profiles by the life of their relay.
    pub(super) missing: BTreeMap<usize, u64>,
    /// Missing profiles of killed relays that were never tried and should have been in the stream: their number and age
    /// at the kill.
    pub(super) too_old: Vec<(usize, Duration)>,
    pub(super) doubled: u64,
    /// Response time that 99 % of the responses kept.
    pub(super) p99: Duration,
}

impl Journal {
    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().expect("nobody panics with the lock"))
    }

    /// A new number for a profile.
    pub(super) fn next(&self) -> usize {
        self.with(|seen| {
            seen.next += 1;
            seen.next
        })
    }

    pub(super) fn answered(&self, number: usize, life: usize, took: Duration) {
        let at = Instant::now();
        self.with(|seen| seen.answered.insert(number, Answered { life, at, took }));
    }

    pub(super) fn tried(&self, number: usize) {
        self.with(|seen| seen.tried.insert(number));
    }

    pub(super) fn had(&self, number: usize) {
        self.with(|seen| *seen.had.entry(number).or_default() += 1);
    }

    pub(super) fn killed(&self, life: usize, held: Held) {
        self.with(|seen| seen.kills.insert(life, (Instant::now(), held)));
    }

    /// What a life held when it was killed; `None` if it was not killed.
    pub(super) fn held(&self, life: usize) -> Option<Held> {
        self.with(|seen| seen.kills.get(&life).map(|(_, held)| *held))
    }

    /// Profiles whose lease or publish was cut off by kills, at most.
    pub(super) fn in_flight(&self) -> u64 {
        self.with(|seen| seen.kills.values().map(|(_, held)| held.in_flight).sum())
    }

    /// `handed_over_after`: age at which a profile is certainly in the stream.
    pub(super) fn judge(&self, handed_over_after: Duration) -> Verdict {
        self.with(|seen| seen.judge(handed_over_after))
    }
}

impl Seen {
    fn judge(&self, handed_over_after: Duration) -> Verdict {
        let mut missing = BTreeMap::<usize, u64>::new();
        let mut too_old = Vec::new();
        for (number, answered) in &self.answered {
            if self.had.contains_key(number) {
                continue;
            }
            *missing.entry(answered.life).or_default() += 1;
            if let Some((kill, held)) = self.kills.get(&answered.life) {
                let age = kill.saturating_duration_since(answered.at);
                let is_tried = self.tried.contains(number);
                if held.is_handed_over && age > handed_over_after && !is_tried {
                    too_old.push((*number, age));
                }
            }
        }
        let mut times: Vec<_> = self.answered.values().map(|it| it.took).collect();
        times.sort();
        Verdict {
            answered: self.answered.len(),
            arrived: self
                .answered
                .keys()
                .filter(|it| self.had.contains_key(it))
                .count(),
            missing,
            too_old,
            doubled: self.had.values().map(|times| times - 1).sum(),
            p99: times
                .get(times.len() * 99 / 100)
                .copied()
                .unwrap_or_default(),
        }
    }
}
