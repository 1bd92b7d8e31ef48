//! The upload of one record to one target, and the settlement of the record's lease.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::{
    Birth, Consumer, Lane, Lease, Part, Reason, Record, RetryHistory, Supervisor, catch_panic, lock,
};
use tokio::time::Instant;

use crate::client::TargetClient;
use crate::connection::Connection;
use crate::content::BodyUse;
use crate::failure_log::FailureLog;
use crate::flow::{Backoff, FlowChange, FlowControl, Permit};
use crate::metrics::TargetMetrics;
use crate::monitor::SharedSummary;
use crate::outcome::Outcome;
use crate::status::TargetState;
use crate::{DeadLetter, DeadLetterReason, DeadLetterSink, OnAmbiguous, WallClock};

/// A record is rejected after this many responses that no rule matches.
const MAX_UNKNOWN_RESPONSES: u32 = 3;

/// A record is rejected after this many failures between which the target acknowledged other records of its
/// surface: it is a poison record.
const MAX_FAILURES_WHILE_HEALTHY: u32 = 8;

/// [`MAX_FAILURES_WHILE_HEALTHY`] after a response that refuses the record or its surface and does not say that the
/// fault may pass.
const MAX_REFUSALS_WHILE_HEALTHY: u32 = 3;

/// A record is dropped after this many ambiguous uploads: the target may have stored the record each time.
const MAX_AMBIGUOUS: u32 = 5;

/// A record is dropped after this many panics.
const MAX_PANICS: u32 = 3;

/// Uploads the records of one target and settles their leases. The workers of the target share it.
#[derive(Debug)]
pub(super) struct Uploader {
    pub(super) name: String,
    pub(super) client: TargetClient,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) flow: Arc<FlowControl>,
    pub(super) summary: SharedSummary,
    pub(super) clock: WallClock,
    pub(super) dead_letters: DeadLetterSink,
    pub(super) max_age: Option<Duration>,
    pub(super) on_ambiguous: OnAmbiguous,
    pub(super) log: FailureLog,
    pub(super) metrics: TargetMetrics,
    pub(super) supervisor: Supervisor,
}

/// What happens to a record after an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settlement {
    Ack,
    Drop(Reason),
    /// Retry `delay` after the target accepts uploads again.
    Retry {
        delay: Duration,
        history: RetryHistory,
    },
}

impl Uploader {
    /// Records received before this time have expired; `None` if the target has no `max-age`.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        self.clock.now().checked_sub(self.max_age?)
    }

    /// Uploads the record of `lease` and settles the lease. `connection` is the worker's, and becomes `None` if the
    /// connection cannot be used again.
    pub(super) async fn deliver(
        &self,
        lease: Lease,
        mut permit: Permit,
        connection: &mut Option<Box<Connection>>,
    ) {
        if lease.history().panics >= MAX_PANICS {
            let why = format!("the delivery panicked {MAX_PANICS} times");
            self.set_aside(lease, &why);
            return;
        }
        let birth = lease.birth();
        let attempt = self.attempt(lease.record(), &birth, &mut permit, connection);
        let (outcome, body_use) = match catch_panic(attempt).await {
            Ok(Some(attempted)) => attempted,
            Ok(None) => {
                lease.lose(Reason::Expired);
                return;
            }
            Err(panic) => {
                *connection = None;
                self.supervisor.count(Part::Deliverer);
                self.settle_panic(lease, &panic.to_string());
                return;
            }
        };
        // Read before this outcome is counted: how many other records of the surface the target acknowledged.
        let acked = self.flow.acked(lease.record().head().surface);
        let change = self.report(permit, &outcome);
        match self.settlement(&outcome, lease.history(), acked) {
            Settlement::Ack => {
                self.keep_rejected_part(&lease, &outcome);
                self.ack(lease, change.recovered);
            }
            Settlement::Drop(reason) => self.drop_record(lease, &outcome, reason),
            Settlement::Retry { delay, history } => {
                // The log line of a state change contains this outcome already.
                if change.state.is_none() {
                    self.log.retried(&self.name, &outcome);
                }
                self.metrics.retries.increment(1);
                if let Some(cause) = outcome.doubling_cause(lease.record().head().surface) {
                    self.metrics.possibly_doubled(cause);
                }
                if let Some(body_use) = body_use {
                    body_use.keep_for_retry(lease.record());
                }
                let from = change.blocked_until.unwrap_or_else(Instant::now);
                lease.retry(from + delay, history);
            }
        }
    }

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

    /// Makes the content of an upload, and uploads it. `None` if the record has expired.
    async fn attempt(
        &self,
        record: &Arc<Record>,
        birth: &Birth,
        permit: &mut Permit,
        connection: &mut Option<Box<Connection>>,
    ) -> Option<(Outcome, Option<BodyUse>)> {
        if self.is_expired(birth) {
            return None;
        }
        // The content is made before the upload's clock starts: it does not depend on the target.
        let content = self.client.prepare(record).await;
        // Making the content may have waited for memory.
        if self.is_expired(birth) {
            return None;
        }
        permit.start_upload();
        let started = Instant::now();
        let (outcome, body_use) = match content {
            Ok((content, body_use)) => {
                let upload = self
                    .client
                    .upload(record, content, connection, &self.metrics);
                (upload.await, body_use)
            }
            Err(reason) => (Outcome::unsendable(reason), None),
        };
        self.metrics.upload_ended(&outcome, started.elapsed());
        lock(&self.summary).add(&outcome, self.clock.now());
        Some((outcome, body_use))
    }

    /// Reports `outcome` to the flow control, and a change of the target's state to metrics, log and queue.
    fn report(&self, permit: Permit, outcome: &Outcome) -> FlowChange {
        let change = permit.complete(outcome);
        if change.recovered {
            self.consumer.fall_behind();
        }
        if let Some(state) = change.state {
            self.metrics.state_changed(state);
            self.log_state(state, outcome, change.blocked_until);
        }
        change
    }

    fn log_state(&self, state: TargetState, outcome: &Outcome, blocked_until: Option<Instant>) {
        let target = self.name.as_str();
        if state == TargetState::Healthy {
            tracing::info!(target, "target takes profiles again");
            return;
        }
        let next_try = blocked_until.map(|until| until.saturating_duration_since(Instant::now()));
        tracing::warn!(
            target,
            state = state.as_str(),
            status = outcome.status_code(),
            said = outcome.text,
            next_try_seconds = next_try.map(|wait| wait.as_secs()),
            "target unavailable or refusing profiles; those that it may accept later stay queued"
        );
    }

    fn ack(&self, lease: Lease, closed_circuit: bool) {
        // Count the closing probe as backlog, so that the outage does not show in the fresh-lane latency.
        let lane = match closed_circuit {
            true => Lane::Backlog,
            false => lease.lane(),
        };
        let received = lease.record().head().received;
        let waited = self.clock.now().duration_since(received);
        self.metrics.acked(lane, waited.unwrap_or_default());
        lease.ack();
    }

    /// Settles the lease of a record whose attempt panicked. The panic counts against the record, since the next record
    /// is uploaded by the same code. It does not count against the target.
    fn settle_panic(&self, lease: Lease, panic: &str) {
        let history = lease.history();
        let history = RetryHistory {
            failures: history.failures.saturating_add(1),
            panics: history.panics + 1,
            ..history
        };
        if history.panics < MAX_PANICS {
            self.log.panicked(&self.name, panic, "kept");
            self.metrics.retries.increment(1);
            let delay = Backoff::FAILING.delay(history.failures.saturating_sub(1));
            lease.retry(Instant::now() + delay, history);
            return;
        }
        self.log
            .panicked(&self.name, panic, Reason::Undecodable.as_str());
        let response = format!("the upload panicked {MAX_PANICS} times: {panic}");
        self.keep_undecodable(lease, &response);
    }

    /// Drops a record that makes pyrotee itself fail, keeps it as a dead letter, and logs the bug.
    fn set_aside(&self, lease: Lease, why: &str) {
        let (target, fate) = (self.name.as_str(), Reason::Undecodable.as_str());
        tracing::error!(target, why, fate, "set a profile aside, which is a bug");
        self.keep_undecodable(lease, why);
    }

    fn keep_undecodable(&self, lease: Lease, why: &str) {
        let (reason, status) = (DeadLetterReason::Undecodable, lease.history().last_status);
        self.offer_dead_letter(&lease, reason, status, why);
        lease.lose(Reason::Undecodable);
    }

    fn drop_record(&self, lease: Lease, outcome: &Outcome, reason: Reason) {
        self.log.dropped(&self.name, outcome, reason);
        if let Some(reason) = DeadLetterReason::of(reason) {
            self.offer_dead_letter(&lease, reason, outcome.status_code(), &outcome.text);
        }
        lease.lose(reason);
    }

    /// Logs a warning in an acknowledgement. Counts a record of which the target rejected a part, and keeps it as a
    /// dead letter.
    fn keep_rejected_part(&self, lease: &Lease, outcome: &Outcome) {
        if !outcome.text.is_empty() {
            self.log.partial_success(&self.name, outcome);
        }
        if outcome.rejected_part > 0 {
            self.metrics.partially_rejected.increment(1);
            let reason = DeadLetterReason::PartiallyRejected;
            self.offer_dead_letter(lease, reason, outcome.status_code(), &outcome.text);
        }
    }

    pub(super) fn offer_dead_letter(
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

    /// The settlement of a record with this outcome. `acked`: records of its surface that the target acknowledged.
    fn settlement(&self, outcome: &Outcome, history: RetryHistory, acked: u64) -> Settlement {
        match outcome.meaning {
            Ok(Meaning::Taken) => Settlement::Ack,
            Ok(Meaning::Rejected) => Settlement::Drop(Reason::Rejected),
            Err(reason) => Settlement::Drop(reason),
            Ok(Meaning::Ambiguous) if self.on_ambiguous == OnAmbiguous::Drop => {
                Settlement::Drop(Reason::Ambiguous)
            }
            Ok(meaning) => count_failure(outcome, meaning, history, acked),
        }
    }

    fn is_expired(&self, birth: &Birth) -> bool {
        let expiry = self.expiry();
        expiry.is_some_and(|expiry| birth.wall() < expiry)
    }
}

/// Adds one failure to the record's history, and drops the record if its failures show that it is the cause.
fn count_failure(
    outcome: &Outcome,
    meaning: Meaning,
    history: RetryHistory,
    acked: u64,
) -> Settlement {
    let while_healthy = history.failures == 0 || acked > history.acked_at_last_failure;
    let history = RetryHistory {
        failures: history.failures.saturating_add(1),
        unknown_failures: history.unknown_failures + u32::from(meaning == Meaning::Unknown),
        ambiguous_failures: history.ambiguous_failures + u32::from(meaning == Meaning::Ambiguous),
        failures_while_healthy: history.failures_while_healthy + u32::from(while_healthy),
        acked_at_last_failure: acked,
        last_status: outcome.status_code(),
        ..history
    };
    let most = match meaning {
        Meaning::Broken => MAX_REFUSALS_WHILE_HEALTHY,
        _ => MAX_FAILURES_WHILE_HEALTHY,
    };
    if history.unknown_failures >= MAX_UNKNOWN_RESPONSES || history.failures_while_healthy >= most {
        return Settlement::Drop(Reason::Rejected);
    }
    if history.ambiguous_failures >= MAX_AMBIGUOUS {
        // The record is the cause if the target accepted other records during most of the record's failures.
        return Settlement::Drop(match history.failures_while_healthy > MAX_AMBIGUOUS / 2 {
            true => Reason::Rejected,
            false => Reason::Ambiguous,
        });
    }
    let backoff = match meaning {
        // A refusal passes less often than a failure, so a refused record is retried later.
        Meaning::Broken => Backoff::FAILING.delay(history.failures.saturating_add(3)),
        _ => Backoff::FAILING.delay(history.failures),
    };
    let pause = outcome.pause().map(Backoff::retry_after);
    Settlement::Retry {
        delay: pause.map_or(backoff, |pause| pause.max(backoff)),
        history,
    }
}
