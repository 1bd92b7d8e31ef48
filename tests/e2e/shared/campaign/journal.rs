//! The observations of clients and of the target in a campaign, and the losses and duplicates that follow from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::{Duration, Instant},
};

use super::strikes::{Strike, Struck, explain};

/// A profile that is younger was never in the stream, with `after: 1s`.
const IN_MEMORY: Duration = Duration::from_millis(900);

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
    /// When the target accepted each profile.
    had: BTreeMap<usize, Vec<Instant>>,
    strikes: Vec<Strike>,
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
    /// Deliveries of profiles that the target had accepted before.
    pub(super) doubled: usize,
    /// Strikes, each with the profiles that arrived twice because of it.
    pub(super) strikes: Vec<Strike>,
    /// Profiles that arrived twice without a strike.
    pub(super) unexplained: Vec<usize>,
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
        let at = Instant::now();
        self.with(|seen| seen.had.entry(number).or_default().push(at));
    }

    pub(super) fn killed(&self, life: usize, held: Held) {
        self.with(|seen| seen.kills.insert(life, (Instant::now(), held)));
    }

    /// What a life held when it was killed; `None` if it was not killed.
    pub(super) fn held(&self, life: usize) -> Option<Held> {
        self.with(|seen| seen.kills.get(&life).map(|(_, held)| *held))
    }

    /// Notes a strike that began at `from` and is over.
    pub(super) fn struck(&self, struck: Struck, from: Instant) {
        let strike = Strike::new(struck, from);
        self.with(|seen| seen.strikes.push(strike));
    }

    /// Number of responses so far.
    pub(super) fn responses(&self) -> usize {
        self.with(|seen| seen.answered.len())
    }

    /// Response time that 99 % of the responses so far kept.
    pub(super) fn p99(&self) -> Duration {
        self.with(|seen| seen.p99())
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
        let (strikes, unexplained) = explain(&self.strikes, &self.had, &self.of_stream());
        Verdict {
            answered: self.answered.len(),
            arrived: self
                .answered
                .keys()
                .filter(|it| self.had.contains_key(it))
                .count(),
            missing,
            too_old,
            doubled: self.had.values().map(|times| times.len() - 1).sum(),
            strikes,
            unexplained,
            p99: self.p99(),
        }
    }

    /// When the target accepted profiles that had been in the stream, or failed before.
    fn of_stream(&self) -> Vec<Instant> {
        let mut all = Vec::new();
        for (number, times) in &self.had {
            let answered = self.answered.get(number).map(|it| it.at);
            let is_old = |at: &&Instant| answered.is_none_or(|since| **at - since > IN_MEMORY);
            all.extend(times.iter().filter(is_old));
        }
        all
    }

    fn p99(&self) -> Duration {
        let mut times: Vec<_> = self.answered.values().map(|it| it.took).collect();
        times.sort();
        let place = times.len() * 99 / 100;
        times.get(place).copied().unwrap_or_default()
    }
}
