//! One record on its way to one target.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_net::{Dial, Dialer};
use pyrotee_queue::{Consumer, Lane, Lease, Reason, Record, RetryHistory};
use tokio::time::{Instant, sleep_until};

use crate::client::TargetClient;
use crate::connection::Connection;
use crate::failure_log::{FailureLog, Fate};
use crate::flow::{Backoff, Change, Flow, Pass};
use crate::metrics::TargetMetrics;
use crate::monitor::Journal;
use crate::outcome::{Kind, Outcome};
use crate::status::State;
use crate::{Clock, OnAmbiguous, Refusal, Refusals};

/// Tries of a record that is refused in words that nobody knows.
const UNKNOWN_TRIES: u32 = 3;

/// Failures of one record, with successes of others in between, that make it the culprit.
const POISON_TRIES: u32 = 8;

/// What all uploads of one target share.
#[derive(Debug)]
pub(super) struct Deliverer<D = Dialer> {
    pub(super) name: String,
    pub(super) client: TargetClient<D>,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) flow: Arc<Flow>,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Clock,
    pub(super) refusals: Refusals,
    pub(super) max_age: Option<Duration>,
    pub(super) on_ambiguous: OnAmbiguous,
    pub(super) log: FailureLog,
    pub(super) metrics: TargetMetrics,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Taken,
    Lost(Reason),
    /// It is tried again, this long after somebody may.
    Again {
        delay: Duration,
        history: RetryHistory,
    },
}

impl<D: Dial> Deliverer<D> {
    /// What was received before then is too old; `None` if nothing ever is.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        self.clock.now().checked_sub(self.max_age?)
    }

    /// Tries to upload a record, as a probe twice, and says what becomes of it. The connection is the
    /// worker's who does it; there is none where none can be used again.
    pub(super) async fn deliver(
        &self,
        lease: Lease,
        mut pass: Pass,
        connection: &mut Option<Box<Connection<D>>>,
    ) {
        let record = Arc::clone(lease.record());
        let mut history = lease.history();
        let mut tries = 0;
        loop {
            if self.is_expired(&record) {
                lease.lose(Reason::Expired);
                return;
            }
            let outcome = self.upload(&record, connection).await;
            tries += 1;
            let change = self.learn(&mut pass, &outcome);
            match self.verdict(&outcome, history) {
                Verdict::Taken => {
                    // What ended an outage has waited for that end, wherever it lay when it was leased.
                    let lane = match change.recovered {
                        true => Lane::Backlog,
                        false => lease.lane(),
                    };
                    let waited = self.clock.now().duration_since(record.head().received);
                    self.metrics.taken(lane, waited.unwrap_or_default());
                    lease.ack();
                    return;
                }
                Verdict::Lost(reason) => {
                    self.log.note(&self.name, &outcome, Fate::Lost(reason));
                    self.refusals.tell(&Refusal {
                        target: &self.name,
                        record: &record,
                        reason,
                        tries: history.failures.saturating_add(1),
                        status: outcome.status.map(|status| status.as_u16()),
                        answer: &outcome.text,
                    });
                    lease.lose(reason);
                    return;
                }
                Verdict::Again {
                    delay,
                    history: learnt,
                } => {
                    // An announcement has told the same already.
                    if change.condition.is_none() {
                        self.log.note(&self.name, &outcome, Fate::Kept);
                    }
                    self.metrics.retries.increment(1);
                    history = learnt;
                    // A probe tries a record twice, so that one that was unlucky does not stand for all;
                    // then it is another's turn, so that one that is the culprit does not either.
                    let second = if tries == 1 { pass.hold() } else { None };
                    let Some(at) = second else {
                        // Behind the next probe, which another record is to be.
                        let from = change.shut_until.unwrap_or_else(Instant::now);
                        lease.retry(from + delay, history);
                        return;
                    };
                    sleep_until(at).await;
                    pass.again();
                }
            }
        }
    }

    async fn upload(
        &self,
        record: &Arc<Record>,
        connection: &mut Option<Box<Connection<D>>>,
    ) -> Outcome {
        let started = Instant::now();
        let outcome = self.client.upload(record, connection, &self.metrics).await;
        self.metrics.ended(&outcome, started.elapsed());
        self.journal.note(&outcome, self.clock.now());
        outcome
    }

    /// Tells the flow, and whoever has to know of a change.
    fn learn(&self, pass: &mut Pass, outcome: &Outcome) -> Change {
        let change = pass.ended(outcome);
        if change.recovered {
            self.consumer.fall_behind();
        }
        if let Some(state) = change.condition {
            self.metrics.changed(state);
            self.announce(state, outcome, change.shut_until);
        }
        change
    }

    fn announce(&self, state: State, outcome: &Outcome, shut_until: Option<Instant>) {
        let target = self.name.as_str();
        if state == State::Healthy {
            tracing::info!(target, "target takes profiles again");
            return;
        }
        let next_try = shut_until.map(|until| until.saturating_duration_since(Instant::now()));
        tracing::warn!(
            target,
            state = state.as_str(),
            status = outcome.status.map(|status| status.as_u16()),
            said = outcome.text,
            next_try_seconds = next_try.map(|wait| wait.as_secs()),
            "target takes no profiles; they wait, and one of them is tried from time to time"
        );
    }

    fn verdict(&self, outcome: &Outcome, history: RetryHistory) -> Verdict {
        match outcome.kind {
            Kind::Ok => Verdict::Taken,
            Kind::Rejected => Verdict::Lost(Reason::Rejected),
            Kind::Unsendable(reason) => Verdict::Lost(reason),
            Kind::Ambiguous if self.on_ambiguous == OnAmbiguous::Drop => {
                Verdict::Lost(Reason::Ambiguous)
            }
            // It is not the record's fault.
            Kind::Broken => Verdict::Again {
                delay: Backoff::FAILING.delay(1),
                history,
            },
            kind => self.blame(kind, history),
        }
    }

    /// One failure more, unless the record is to blame for all of them.
    fn blame(&self, kind: Kind, history: RetryHistory) -> Verdict {
        let taken = self.flow.taken();
        let others_were_taken = history.failures == 0 || taken > history.acked_at_last_failure;
        let history = RetryHistory {
            failures: history.failures.saturating_add(1),
            unknown_failures: history.unknown_failures + u32::from(kind == Kind::Unknown),
            failures_while_healthy: history.failures_while_healthy + u32::from(others_were_taken),
            acked_at_last_failure: taken,
        };
        if history.unknown_failures >= UNKNOWN_TRIES
            || history.failures_while_healthy >= POISON_TRIES
        {
            return Verdict::Lost(Reason::Rejected);
        }
        Verdict::Again {
            delay: Backoff::FAILING.delay(history.failures),
            history,
        }
    }

    fn is_expired(&self, record: &Record) -> bool {
        let received = record.head().received;
        self.expiry().is_some_and(|expiry| received < expiry)
    }
}
