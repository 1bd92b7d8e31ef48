//! The spool and the dead letters in short.

use std::time::SystemTime;

use pyrotee_letters::{Monitor as LetterMonitor, Opening};
use pyrotee_spool::Monitor as SpoolMonitor;

use crate::DiskPart;
use crate::json::spool::WAITING;
use crate::json::status::{DeadLettersJson, OPEN, RemovedJson, SpoolJson, TargetJson};
use crate::json::{Amount, seconds};
use crate::spool::state;

/// The pending profiles of all targets.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Backlog {
    pending: Amount,
    oldest_age_seconds: Option<f64>,
}

impl Backlog {
    /// The pending profiles of a former spool, which the relay delivers beside the new profiles of its targets.
    pub(super) fn of_former(spool: &SpoolMonitor) -> Self {
        let survey = spool.survey();
        let now = SystemTime::now();
        survey.targets.iter().fold(Self::default(), |sum, it| {
            let age = it
                .oldest
                .map(|at| now.duration_since(at).unwrap_or_default());
            sum.and(it.pending.into(), age.map(seconds))
        })
    }

    pub(super) fn of(targets: &[TargetJson], removed: &[RemovedJson]) -> Self {
        let targets = targets
            .iter()
            .map(|it| (it.pending, it.oldest_pending_age_seconds));
        let removed = removed
            .iter()
            .map(|it| (it.pending, it.oldest_pending_age_seconds));
        let all = targets.chain(removed);
        all.fold(Self::default(), |sum, (pending, age)| sum.and(pending, age))
    }

    fn and(self, pending: Amount, age: Option<f64>) -> Self {
        Self {
            pending: Amount {
                profiles: self.pending.profiles.saturating_add(pending.profiles),
                bytes: self.pending.bytes.saturating_add(pending.bytes),
            },
            oldest_age_seconds: match (self.oldest_age_seconds, age) {
                (Some(oldest), Some(age)) => Some(oldest.max(age)),
                (oldest, age) => oldest.or(age),
            },
        }
    }
}

pub(super) fn spool(part: &DiskPart<SpoolMonitor>, backlog: &Backlog) -> SpoolJson {
    let stats = part.monitor.stats();
    let (state, _) = state(&part.monitor);
    SpoolJson {
        dir: part.dir.display().to_string(),
        state: state.to_owned(),
        pending: backlog.pending,
        bytes: stats.bytes,
        max_bytes: stats.max_bytes,
        oldest_pending_age_seconds: backlog.oldest_age_seconds,
    }
}

pub(super) fn dead_letters(part: &DiskPart<LetterMonitor>) -> DeadLettersJson {
    let size = part.monitor.stats().size;
    let state = match part.monitor.opening() {
        Opening::Open => OPEN,
        Opening::Waiting { .. } => WAITING,
    };
    DeadLettersJson {
        dir: part.dir.display().to_string(),
        state: state.to_owned(),
        letters: size.letters,
        bytes: size.bytes,
        max_bytes: size.max_bytes,
    }
}
