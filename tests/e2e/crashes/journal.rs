//! The journal of profiles that clients and targets saw, and the losses that follow from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::{Duration, Instant},
};

/// The request of a profile that was answered with a 200: the round of its relay, begin and end.
#[derive(Clone, Copy, Debug)]
struct Answered {
    round: usize,
    begun: Instant,
    ended: Instant,
}

/// The arrival of a profile at a target: the round of the relay that sent it, and the time.
#[derive(Clone, Copy, Debug)]
struct Had {
    round: usize,
    at: Instant,
}

/// All observations of clients and targets.
#[derive(Debug)]
pub(super) struct Journal {
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    round: usize,
    next: usize,
    sent: BTreeSet<usize>,
    answered: BTreeMap<usize, Answered>,
    /// Uploads of each profile, by target and number.
    had: Vec<BTreeMap<usize, Vec<Had>>>,
    /// When each round was killed.
    kills: Vec<Instant>,
}

/// Profiles that a target did not get, or got more than once.
#[derive(Debug)]
pub(super) struct Missed {
    /// Profiles that were answered with a 200 and did not arrive.
    pub(super) lost: BTreeSet<usize>,
    /// Lost profiles of rounds from which a younger profile arrived in a later round: a kill does not explain their
    /// loss.
    pub(super) unexplained: BTreeSet<usize>,
    /// Number of profiles that arrived more than once.
    pub(super) doubled: usize,
    /// Longest time between the first arrival of such a profile and the kill of the relay that had sent it.
    pub(super) oldest_double: Duration,
}

impl Journal {
    pub(super) fn new(targets: usize) -> Self {
        Self {
            seen: Mutex::new(Seen {
                round: 0,
                next: 0,
                sent: BTreeSet::new(),
                answered: BTreeMap::new(),
                had: vec![BTreeMap::new(); targets],
                kills: Vec::new(),
            }),
        }
    }

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

    /// Notes that a relay has accepted the connection for the profile `number`.
    pub(super) fn sent(&self, number: usize) {
        self.with(|seen| seen.sent.insert(number));
    }

    pub(super) fn answered(&self, number: usize, begun: Instant) {
        self.with(|seen| {
            let answered = Answered {
                round: seen.round,
                begun,
                ended: Instant::now(),
            };
            seen.answered.insert(number, answered);
        });
    }

    /// Notes that `target` received the profile `number` from the relay of `round`.
    pub(super) fn had(&self, target: usize, number: usize, round: usize) {
        self.with(|seen| {
            let had = Had {
                round,
                at: Instant::now(),
            };
            seen.had[target].entry(number).or_default().push(had);
        });
    }

    /// Notes that the relay of this round was killed.
    pub(super) fn killed(&self) {
        self.with(|seen| {
            seen.kills.push(Instant::now());
            seen.round += 1;
        });
    }

    pub(super) fn tried(&self) -> usize {
        self.with(|seen| seen.sent.len())
    }

    pub(super) fn taken(&self) -> usize {
        self.with(|seen| seen.answered.len())
    }

    /// Number of profiles that `target` received.
    pub(super) fn arrived(&self, target: usize) -> usize {
        self.with(|seen| seen.had[target].len())
    }

    pub(super) fn missed(&self, target: usize) -> Missed {
        self.with(|seen| seen.missed(target))
    }
}

impl Seen {
    fn missed(&self, target: usize) -> Missed {
        let had = &self.had[target];
        let missing = self.answered.iter();
        let missing = missing.filter(|(number, _)| !had.contains_key(number));
        let lost: BTreeMap<_, _> = missing
            .map(|(number, answered)| (*number, *answered))
            .collect();
        // Records are written in the order of arrival. So a profile that a later process delivered shows that all
        // earlier profiles of its round were written, too.
        let written = |(number, answered): (&usize, &Answered)| {
            let later = had.get(number)?.last()?.round > answered.round;
            later.then_some((answered.round, answered.begun))
        };
        let mut youngest = BTreeMap::<usize, Instant>::new();
        for (round, begun) in self.answered.iter().filter_map(written) {
            let youngest = youngest.entry(round).or_insert(begun);
            *youngest = begun.max(*youngest);
        }
        let is_unexplained = |answered: &Answered| {
            let youngest = youngest.get(&answered.round);
            youngest.is_some_and(|begun| *begun > answered.ended)
        };
        let unexplained = lost.iter().filter(|(_, answered)| is_unexplained(answered));
        let doubles = had.values().filter(|times| times.len() > 1);
        let ages = doubles.clone().filter_map(|times| {
            let kill = self.kills.get(times[0].round)?;
            Some(kill.saturating_duration_since(times[0].at))
        });
        Missed {
            unexplained: unexplained.map(|(number, _)| *number).collect(),
            doubled: doubles.clone().count(),
            oldest_double: ages.max().unwrap_or_default(),
            lost: lost.into_keys().collect(),
        }
    }
}
