//! The upload of one record to one target, and what happens to the record afterwards.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::{Consumer, History, Lane, Lease, Reason, Record, lock};
use tokio::time::{Instant, sleep_until};

use crate::client::TargetClient;
use crate::connection::Connection;
use crate::failure_log::FailureLog;
use crate::flow::{Backoff, FlowChange, FlowControl, Permit};
use crate::metrics::TargetMetrics;
use crate::monitor::SharedSummary;
use crate::outcome::Outcome;
use crate::status::TargetState;
use crate::{DeadLetter, DeadLetterSink, OnAmbiguous, WallClock};

/// A record is rejected after this many responses with a meaning that no rule knows.
const MAX_UNKNOWN_RESPONSES: u32 = 3;

/// A record is rejected after this many failures between which the target acknowledged other records: it is a
/// poison record.
const MAX_FAILURES_WHILE_HEALTHY: u32 = 8;

/// A record is dropped after this many ambiguous uploads: the target may have stored it as often.
const MAX_AMBIGUOUS: u32 = 5;

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
}

/// What happens to a record after an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settlement {
    Ack,
    Drop(Reason),
    /// Retry `delay` after the target accepts uploads again.
    Retry {
        delay: Duration,
        history: History,
    },
}

impl Uploader {
    /// Records received before this time have expired; `None` if the target has no `max-age`.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        self.clock.now().checked_sub(self.max_age?)
    }

    /// Uploads the record of `lease` and settles the lease. A failed probe is repeated once with the same record.
    /// `connection` is the worker's; it becomes `None` if it cannot be used again.
    pub(super) async fn deliver(
        &self,
        lease: Lease,
        mut permit: Permit,
        connection: &mut Option<Box<Connection>>,
    ) {
        let record = Arc::clone(lease.record());
        let mut history = lease.history();
        let mut is_first = true;
        loop {
            if self.is_expired(&record) {
                lease.lose(Reason::Expired);
                return;
            }
            let outcome = self.upload(&record, connection).await;
            let change = self.report(&mut permit, &outcome);
            match self.settlement(&outcome, history) {
                Settlement::Ack => {
                    self.ack(lease, change.recovered);
                    return;
                }
                Settlement::Drop(reason) => {
                    self.drop_record(lease, &outcome, reason, history);
                    return;
                }
                Settlement::Retry {
                    delay,
                    history: updated,
                } => {
                    // A change of the target's state is logged with this outcome already.
                    if change.state.is_none() {
                        self.log.retried(&self.name, &outcome);
                    }
                    self.metrics.retries.increment(1);
                    history = updated;
                    // A probe tries the same record twice, so that a failure by chance does not count for the
                    // target; the next probe takes another record, so that a poison record does not either.
                    let held = is_first.then(|| permit.hold_probe()).flatten();
                    let Some(second_attempt) = held else {
                        // Not before the next probe, which shall be another record.
                        let from = change.blocked_until.unwrap_or_else(Instant::now);
                        lease.retry(from + delay, history);
                        return;
                    };
                    is_first = false;
                    sleep_until(second_attempt).await;
                    permit.restart();
                }
            }
        }
    }

    async fn upload(
        &self,
        record: &Arc<Record>,
        connection: &mut Option<Box<Connection>>,
    ) -> Outcome {
        let started = Instant::now();
        let outcome = self.client.upload(record, connection, &self.metrics).await;
        self.metrics.upload_ended(&outcome, started.elapsed());
        lock(&self.summary).add(&outcome, self.clock.now());
        outcome
    }

    /// Reports `outcome` to the flow control, and a change of the target's state to metrics, log and queue.
    fn report(&self, permit: &mut Permit, outcome: &Outcome) -> FlowChange {
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
            "target takes no profiles; they wait, and one of them is tried from time to time"
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

    fn drop_record(&self, lease: Lease, outcome: &Outcome, reason: Reason, history: History) {
        self.log.dropped(&self.name, outcome, reason);
        self.dead_letters.offer(&DeadLetter {
            target: &self.name,
            record: lease.record(),
            reason,
            tries: history.failures.saturating_add(1),
            status: outcome.status_code(),
            response: &outcome.text,
        });
        lease.lose(reason);
    }

    fn settlement(&self, outcome: &Outcome, history: History) -> Settlement {
        match outcome.meaning {
            Ok(Meaning::Taken) => Settlement::Ack,
            Ok(Meaning::Rejected) => Settlement::Drop(Reason::Rejected),
            Err(reason) => Settlement::Drop(reason),
            Ok(Meaning::Ambiguous) if self.on_ambiguous == OnAmbiguous::Drop => {
                Settlement::Drop(Reason::Ambiguous)
            }
            // The target refuses the surface: that is no failure of the record.
            Ok(Meaning::Broken) => Settlement::Retry {
                delay: Backoff::FAILING.delay(1),
                history,
            },
            Ok(meaning) => self.count_failure(meaning, history),
        }
    }

    /// Adds one failure to the record's history, and drops the record if its failures show that it is the cause.
    fn count_failure(&self, meaning: Meaning, history: History) -> Settlement {
        let acked = self.flow.acked();
        let while_healthy = history.failures == 0 || acked > history.taken;
        let history = History {
            failures: history.failures.saturating_add(1),
            unexplained: history.unexplained + u32::from(meaning == Meaning::Unknown),
            ambiguous: history.ambiguous + u32::from(meaning == Meaning::Ambiguous),
            alone: history.alone + u32::from(while_healthy),
            taken: acked,
        };
        if history.unexplained >= MAX_UNKNOWN_RESPONSES
            || history.alone >= MAX_FAILURES_WHILE_HEALTHY
        {
            return Settlement::Drop(Reason::Rejected);
        }
        if history.ambiguous >= MAX_AMBIGUOUS {
            // The record is the cause if the target accepted others during most of its failures.
            return Settlement::Drop(match history.alone > MAX_AMBIGUOUS / 2 {
                true => Reason::Rejected,
                false => Reason::Ambiguous,
            });
        }
        Settlement::Retry {
            delay: Backoff::FAILING.delay(history.failures),
            history,
        }
    }

    fn is_expired(&self, record: &Record) -> bool {
        let received = record.head().received;
        self.expiry().is_some_and(|expiry| received < expiry)
    }
}
