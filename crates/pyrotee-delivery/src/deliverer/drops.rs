//! How records are dropped: what is logged, and which records become dead letters.

use pyrotee_queue::{Lease, Reason};

use super::uploader::{MAX_PANICS, Uploader};
use crate::outcome::Outcome;
use crate::route::Route;
use crate::{DeadLetter, DeadLetterReason};

impl Uploader {
    /// Drops a record that was evicted from a full queue, or that is lethal: it ended processes.
    pub(super) fn drop_evicted(&self, lease: Lease) {
        let history = lease.history();
        if history.ended_processes > 0 {
            let ended = history.ended_processes;
            let why =
                format!("the relay ended {ended} times while this profile alone was in flight");
            self.set_aside(lease, &why);
            return;
        }
        let response = format!(
            "evicted from a full queue: the profile failed {} times while the target accepted others",
            history.failures_while_healthy
        );
        self.log.evicted(&self.name, history.last_status, &response);
        let reason = DeadLetterReason::Rejected;
        self.offer_dead_letter(&lease, reason, history.last_status, &response);
        lease.lose(Reason::Rejected);
    }

    /// Drops a record that makes pyrotee itself fail, keeps it as a dead letter, and logs the bug.
    pub(super) fn set_aside(&self, lease: Lease, why: &str) {
        let (target, fate) = (self.name.as_str(), Reason::Undecodable.as_str());
        tracing::error!(target, why, fate, "set a profile aside, which is a bug");
        self.keep_undecodable(lease, why);
    }

    pub(super) fn keep_undecodable(&self, lease: Lease, why: &str) {
        let (reason, status) = (DeadLetterReason::Undecodable, lease.history().last_status);
        self.offer_dead_letter(&lease, reason, status, why);
        lease.lose(Reason::Undecodable);
    }

    pub(super) fn drop_record(&self, lease: Lease, outcome: &Outcome, reason: Reason) {
        self.log.dropped(&self.name, outcome, reason);
        if let Some(reason) = DeadLetterReason::of(reason) {
            self.offer_dead_letter(&lease, reason, outcome.status_code(), &outcome.text);
        }
        lease.lose(reason);
    }

    /// Logs a warning in an acknowledgement. Counts a record of which the target rejected a part, and keeps it as a
    /// dead letter.
    pub(super) fn keep_rejected_part(&self, route: &Route, lease: &Lease, outcome: &Outcome) {
        if !outcome.text.is_empty() {
            self.log.partial_success(&self.name, outcome);
        }
        if outcome.rejected_part > 0 {
            route.metrics.partially_rejected.increment(1);
            let reason = DeadLetterReason::PartiallyRejected;
            self.offer_dead_letter(lease, reason, outcome.status_code(), &outcome.text);
        }
    }

    fn offer_dead_letter(
        &self,
        lease: &Lease,
        reason: DeadLetterReason,
        status: Option<u16>,
        text: &str,
    ) {
        // A record that is dropped without another upload has only the failures in its history.
        let is_upload = !lease.is_evicted() && lease.history().panics < MAX_PANICS;
        self.dead_letters.offer(&DeadLetter {
            target: &self.name,
            record: lease.record(),
            reason,
            tries: lease.history().failures + u32::from(is_upload),
            status,
            response: text,
        });
    }
}
