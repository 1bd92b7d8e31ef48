//! The phase of this process's life, and the file `lives` that hands it on to the next process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Weak;

use pyrotee_segments::{Flight, FormatError, LIVES_FILE, SavedLives, Storage, TargetId, read_all};
use tokio::time::Instant;

/// Number of lives that ended while a suspect was alone in flight after which the suspect is lethal.
pub(super) const LETHAL_AFTER: u32 = 3;

/// The life of this process.
#[derive(Debug, Default)]
pub(super) struct State {
    /// `None`: lives are not counted.
    pub(super) storage: Option<Weak<dyn Storage>>,
    /// The content of the file for the next process.
    pub(super) saved: SavedLives,
    pub(super) phase: Phase,
    /// Records that a careful process tries, one at a time.
    pub(super) on_trial: BTreeSet<Flight>,
    /// When the record in flight of a careful process has passed its trial. `None`: no trial is running.
    pub(super) trial_ends: Option<Instant>,
}

/// What the end of this process would count as, if the spool is not closed before.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Phase {
    /// Nothing: the life is a long one, or lives are not counted.
    #[default]
    Long,
    /// A short life, while at most one record is in flight.
    Careful { until: Instant },
    /// A short life.
    Short { until: Instant },
}

impl State {
    /// Number of processes that ended while this record alone was in flight. `None`: too few for the record to be
    /// lethal.
    pub(super) fn lethal(&self, flight: Flight) -> Option<u32> {
        let ended = self.saved.suspects.get(&flight).copied();
        ended.filter(|ended| *ended >= LETHAL_AFTER)
    }

    /// Numbers of the records of a target that are on trial, ascending.
    pub(super) fn numbers_on_trial(&self, target: TargetId) -> impl Iterator<Item = u64> {
        let on_trial = self.on_trial.range((target, 0)..=(target, u64::MAX));
        on_trial.map(|(_, number)| *number)
    }

    /// Writes the file without a sync, so that it survives the end of the process but not a power loss. Errors are
    /// ignored: while the disk is in trouble, no record is suspected.
    pub(super) fn save(&self) {
        if let Some(storage) = self.storage.as_ref().and_then(Weak::upgrade) {
            storage.overwrite(LIVES_FILE, &self.saved.encode()).ok();
        }
    }
}

/// The suspects after the life that wrote `before` has ended.
pub(super) fn judged(before: &SavedLives) -> BTreeMap<Flight, u32> {
    let mut suspects = before.suspects.clone();
    let alone = match (before.careful, before.in_flight.len()) {
        (true, 1) => before.in_flight.first().copied(),
        _ => None,
    };
    suspects.retain(|flight, ended| Some(*flight) == alone || *ended >= LETHAL_AFTER);
    if let Some(alone) = alone {
        *suspects.entry(alone).or_default() += 1;
    }
    suspects
}

/// Reads the file that the process before has left. `None`: a newer pyrotee wrote it, or it cannot be read.
pub(super) fn read(storage: &dyn Storage) -> Option<SavedLives> {
    let file = match storage.open(LIVES_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(SavedLives::default());
        }
        Err(_) => return None,
    };
    match SavedLives::decode(&read_all(&*file).ok()?) {
        Ok(lives) => Some(lives),
        Err(FormatError::Damaged) => Some(SavedLives::default()),
        Err(FormatError::Newer(_)) => None,
    }
}
