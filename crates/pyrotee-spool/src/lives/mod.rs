//! Finds a record whose delivery ends the process, for example by a crash or for lack of memory.
//!
//! A *short life* is a process that ended within [`Settings::short_life`](crate::Settings::short_life) of its start and
//! did not close the spool. The file `lives` counts short lives in a row, and lists the records in flight. It is
//! written before a record is handed out:
//!
//! - After two short lives in a row, the records in flight are noted.
//! - After three short lives a process is *careful*: at first it delivers only the records that were in flight at the
//!   end of the life before, one at a time for all targets together. It is no longer careful when these records are
//!   settled, or after `short_life`.
//! - A record that was alone in flight when a careful life ended, within [`Settings::trial`](crate::Settings::trial) of
//!   its lease, is a *suspect*. The next life delivers nothing for a random time, of up to 15 trials, before it tries
//!   the suspect. So it is no coincidence if the process ends again after the lease of the suspect, whatever else kills
//!   healthy processes and however slow the target is. A life that ends at another time acquits the suspect.
//! - A suspect of three lives is *lethal*: the record is leased once more, only to be dropped.
//!
//! The writer thread watches the time, and the reader thread notes the records in flight: no task waits for the disk.

mod state;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use pyrotee_queue::{Queue, lock};
use pyrotee_segments::{Flight, SavedLives, Storage, TargetId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::spool_queue::SpoolQueue;
use crate::spooled_record::RecordClaim;
use state::{LETHAL_AFTER, Phase, State, judged, read};

/// Number of short lives in a row after which the records in flight are noted.
const NOTES_AFTER: u32 = 2;

/// Number of short lives in a row after which a process is careful.
const CAREFUL_AFTER: u32 = 3;

/// Longest time, as a multiple of a trial, until a suspect is tried.
const LONGEST_ACQUITTAL: u32 = 15;

/// Most records in flight that are noted.
const MOST_NOTED: usize = 4_096;

/// The lives of the processes that had the spool open, up to this one.
#[derive(Debug)]
pub(crate) struct Lives {
    /// Zero: lives are not counted.
    short_life: Duration,
    trial: Duration,
    is_careful: AtomicBool,
    /// Until when the process is careful at most. Not set in a process that is not careful from its start on.
    careful_until: OnceLock<Instant>,
    is_noting: AtomicBool,
    /// Holds one permit, for the only record in flight of a careful process. Closed once the process is not careful.
    turns: Arc<Semaphore>,
    state: Mutex<State>,
}

impl Lives {
    pub(crate) fn new(short_life: Duration, trial: Duration) -> Self {
        Self {
            short_life,
            trial,
            is_careful: AtomicBool::new(false),
            careful_until: OnceLock::new(),
            is_noting: AtomicBool::new(false),
            turns: Arc::new(Semaphore::new(1)),
            state: Mutex::default(),
        }
    }

    /// Reads the file `lives`, and counts this process as a short life until it has run for `short_life`. A second call
    /// changes nothing.
    pub(crate) fn begin(&self, storage: &Arc<dyn Storage>) {
        let mut state = lock(&self.state);
        if self.short_life.is_zero() || state.storage.is_some() {
            return;
        }
        let Some(before) = read(&**storage) else {
            return;
        };
        let suspects = judged(&before);
        let is_lethal =
            |flight: &Flight| suspects.get(flight).is_some_and(|it| *it >= LETHAL_AFTER);
        let on_trial = before.in_flight.iter().filter(|it| !is_lethal(it));
        let on_trial: BTreeSet<_> = match before.short >= CAREFUL_AFTER {
            true => on_trial.copied().collect(),
            false => BTreeSet::new(),
        };
        let until = Instant::now() + self.short_life;
        let careful = !on_trial.is_empty();
        if careful {
            let (lives, records) = (before.short, on_trial.len());
            let message = "the relay ended soon after its start again and again: it delivers one profile at a time, first those that were in flight";
            warn!(lives, records, "{message}");
            self.careful_until.get_or_init(|| until);
        }
        self.is_careful.store(careful, Relaxed);
        self.is_noting.store(before.short >= NOTES_AFTER, Relaxed);
        *state = State {
            storage: Some(Arc::downgrade(storage)),
            saved: SavedLives {
                short: before.short.saturating_add(1),
                careful,
                in_flight: BTreeSet::new(),
                suspects,
            },
            phase: match careful {
                true => Phase::Careful { until },
                false => Phase::Short { until },
            },
            on_trial,
            trial_ends: None,
        };
        state.save();
    }

    /// Whether at most one record may be in flight.
    pub(crate) fn is_careful(&self) -> bool {
        self.is_careful.load(Relaxed)
    }

    /// Whether the records in flight are noted.
    pub(crate) fn is_noting(&self) -> bool {
        self.is_noting.load(Relaxed)
    }

    /// Waits until a record may be leased. `None`: the process is not careful.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if !self.is_careful() {
            return None;
        }
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Number of processes that ended while this record alone was in flight. `None`: too few, so the record may be
    /// delivered.
    pub(crate) fn lethal(&self, target: TargetId, number: u64) -> Option<u32> {
        let ended = lock(&self.state).lethal((target, number))?;
        error!(
            number,
            ended, "a profile in the spool kept ending the relay, it is not delivered again"
        );
        Some(ended)
    }

    /// In a careful process, holds back records of a target: a suspect for a random time, and the records that are
    /// neither on trial nor lethal for as long as the process is careful.
    pub(crate) fn hold_back(&self, target: TargetId, queue: &Queue<RecordClaim>) {
        let state = lock(&self.state);
        let Phase::Careful { until } = state.phase else {
            return;
        };
        let tried = state.numbers_on_trial(target);
        let is_lethal = |number: &u64| state.lethal((target, *number)).is_some();
        let lethal = state.saved.suspects.keys();
        let lethal = lethal.filter(|(of, number)| *of == target && is_lethal(number));
        let free: BTreeSet<_> = tried.chain(lethal.map(|(_, number)| *number)).collect();
        for numbers in gaps(free.iter().copied()) {
            queue.hold_back(numbers, until);
        }
        for number in free.into_iter().filter(|number| !is_lethal(number)) {
            if state.saved.suspects.contains_key(&(target, number)) {
                let at = Instant::now() + self.acquittal(number);
                queue.hold_back(number..number + 1, at.min(until));
            }
        }
    }

    /// In a careful process, holds back all records of a target that joins. Waits for no lock that is held during an
    /// access to the disk.
    pub(crate) fn hold_back_new(&self, queue: &Queue<RecordClaim>) {
        if let Some(until) = self.careful_until.get().filter(|_| self.is_careful()) {
            queue.hold_back(0..u64::MAX, *until);
        }
    }

    /// A random time of 1 to 15 trials before a suspect is leased. A process that ends for another reason may end in
    /// this time, which acquits the suspect.
    fn acquittal(&self, number: u64) -> Duration {
        let steps = u64::from(LONGEST_ACQUITTAL - 1) * 1_000;
        let step = RandomState::new().hash_one(number) % steps;
        self.trial
            + self
                .trial
                .mul_f64(Duration::from_millis(step).as_secs_f64())
    }

    /// Notes that a record is about to be handed out.
    pub(crate) fn note_lease(&self, flight: Flight) {
        let mut state = lock(&self.state);
        if state.saved.in_flight.len() < MOST_NOTED {
            state.saved.in_flight.insert(flight);
        }
        state.trial_ends = state.saved.careful.then(|| Instant::now() + self.trial);
        state.save();
    }

    /// Notes that the lease of a record has ended.
    pub(crate) fn note_end(&self, flight: Flight) {
        let mut state = lock(&self.state);
        state.saved.in_flight.remove(&flight);
        state.trial_ends = None;
        // If other records are in flight, the next lease saves the change.
        if state.saved.careful || state.saved.in_flight.is_empty() {
            state.save();
        }
    }

    /// When [`Lives::pass_trial`] is to be called. `None`: no trial is running.
    pub(crate) fn trial_ends(&self) -> Option<Instant> {
        let careful = self.is_careful();
        careful.then(|| lock(&self.state).trial_ends).flatten()
    }

    /// Notes that the process has survived the trial of the record in flight, which is then not suspected.
    pub(crate) fn pass_trial(&self) {
        let mut state = lock(&self.state);
        state.trial_ends = None;
        state.saved.in_flight.clear();
        state.save();
    }

    /// When [`Lives::watch`] is to be called at the latest. `None`: the life is a long one.
    pub(crate) fn next_watch(&self) -> Option<Instant> {
        match lock(&self.state).phase {
            Phase::Careful { until } | Phase::Short { until } => Some(until),
            Phase::Long => None,
        }
    }

    /// Moves the process to the next phase of its life, if that is due. `targets`: the queues of all targets.
    pub(crate) fn watch(&self, targets: &[(TargetId, Arc<SpoolQueue>)]) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Careful { until } => {
                let mut leased = targets.iter().filter(|(_, queue)| queue.is_delivered());
                let is_tried =
                    leased.any(|(id, it)| it.queue.has_any_of(state.numbers_on_trial(*id)));
                if now < until && is_tried {
                    return;
                }
                self.end_caution(&mut state, now);
                for (_, queue) in targets {
                    queue.queue.release_held_back();
                }
                info!("the relay delivers as usual");
            }
            // Lethal records were dropped long ago, so no suspect is kept.
            Phase::Short { until } if now >= until => self.end_short_life(&mut state, None),
            Phase::Short { .. } | Phase::Long => {}
        }
    }

    fn end_caution(&self, state: &mut State, now: Instant) {
        state.phase = Phase::Short {
            until: now + self.short_life,
        };
        state.saved.careful = false;
        state.on_trial.clear();
        state.save();
        self.is_careful.store(false, Relaxed);
        self.turns.close();
    }

    /// Notes that the process closes the spool, so that it does not count as a short life.
    pub(crate) fn close(&self) {
        // Lethal records are kept, because the deliverers may not have dropped them yet.
        self.end_short_life(&mut lock(&self.state), Some(LETHAL_AFTER));
    }

    /// Resets the count of short lives, and forgets the suspects. `keeps_from`: suspects of at least so many lives are
    /// kept.
    fn end_short_life(&self, state: &mut State, keeps_from: Option<u32>) {
        self.is_noting.store(false, Relaxed);
        state.phase = Phase::Long;
        let mut suspects = std::mem::take(&mut state.saved).suspects;
        suspects.retain(|_, ended| keeps_from.is_some_and(|least| *ended >= least));
        state.saved.suspects = suspects;
        state.save();
        state.storage = None;
    }
}

/// The ranges between ascending numbers.
fn gaps(numbers: impl IntoIterator<Item = u64>) -> Vec<Range<u64>> {
    let (mut gaps, mut start) = (Vec::new(), 0);
    for number in numbers {
        gaps.push(start..number);
        start = number + 1;
    }
    gaps.push(start..u64::MAX);
    gaps.retain(|gap| !gap.is_empty());
    gaps
}
