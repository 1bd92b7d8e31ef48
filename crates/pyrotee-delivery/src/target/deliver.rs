//! One record on its way to one target.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::{Consumer, History, Lane, Lease, Reason, Record};
use tokio::time::{Instant, sleep_until};

use crate::client::TargetClient;
use crate::connection::Connection;
use crate::failure_log::{FailureLog, Fate};
use crate::flow::{Backoff, FlowChange, FlowControl, Permit};
use crate::metrics::TargetMetrics;
use crate::monitor::Journal;
use crate::outcome::Outcome;
use crate::status::TargetState;
use crate::{Clock, OnAmbiguous, Refusal, Refusals};

/// Tries of a record that is refused in words that nobody knows.
const UNKNOWN_TRIES: u32 = 3;

/// Failures of one record, with successes of others in between, that make it the culprit.
const POISON_TRIES: u32 = 8;

/// What all uploads of one target share.
#[derive(Debug)]
pub(super) struct Deliverer {
    pub(super) name: String,
    pub(super) client: TargetClient,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) flow: Arc<FlowControl>,
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
        history: History,
    },
}

impl Deliverer {
    /// What was received before then is too old; `None` if nothing ever is.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        self.clock.now().checked_sub(self.max_age?)
    }

    /// Tries to upload a record, as a probe twice, and says what becomes of it. The connection is the
    /// worker's who does it; there is none where none can be used again.
    pub(super) async fn deliver(
        &self,
        lease: Lease,
        mut permit: Permit,
        connection: &mut Option<Box<Connection>>,
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
            let change = self.learn(&mut permit, &outcome);
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
                        status: outcome.status_code(),
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
                    if change.state.is_none() {
                        self.log.note(&self.name, &outcome, Fate::Kept);
                    }
                    self.metrics.retries.increment(1);
                    history = learnt;
                    // A probe tries a record twice, so that one that was unlucky does not stand for all;
                    // then it is another's turn, so that one that is the culprit does not either.
                    let second = if tries == 1 {
                        permit.hold_probe()
                    } else {
                        None
                    };
                    let Some(at) = second else {
                        // Behind the next probe, which another record is to be.
                        let from = change.blocked_until.unwrap_or_else(Instant::now);
                        lease.retry(from + delay, history);
                        return;
                    };
                    sleep_until(at).await;
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
        self.metrics.ended(&outcome, started.elapsed());
        self.journal.note(&outcome, self.clock.now());
        outcome
    }

    /// Tells the flow, and whoever has to know of a change.
    fn learn(&self, permit: &mut Permit, outcome: &Outcome) -> FlowChange {
        let change = permit.complete(outcome);
        if change.recovered {
            self.consumer.fall_behind();
        }
        if let Some(state) = change.state {
            self.metrics.changed(state);
            self.announce(state, outcome, change.blocked_until);
        }
        change
    }

    fn announce(&self, state: TargetState, outcome: &Outcome, blocked_until: Option<Instant>) {
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

    fn verdict(&self, outcome: &Outcome, history: History) -> Verdict {
        match outcome.meaning {
            Ok(Meaning::Taken) => Verdict::Taken,
            Ok(Meaning::Rejected) => Verdict::Lost(Reason::Rejected),
            Err(reason) => Verdict::Lost(reason),
            Ok(Meaning::Ambiguous) if self.on_ambiguous == OnAmbiguous::Drop => {
                Verdict::Lost(Reason::Ambiguous)
            }
            // It is not the record's fault.
            Ok(Meaning::Broken) => Verdict::Again {
                delay: Backoff::FAILING.delay(1),
                history,
            },
            Ok(meaning) => self.blame(meaning, history),
        }
    }

    /// One failure more, unless the record is to blame for all of them.
    fn blame(&self, meaning: Meaning, history: History) -> Verdict {
        let taken = self.flow.acked();
        let others_were_taken = history.failures == 0 || taken > history.taken;
        let history = History {
            failures: history.failures.saturating_add(1),
            unexplained: history.unexplained + u32::from(meaning == Meaning::Unknown),
            alone: history.alone + u32::from(others_were_taken),
            taken,
        };
        if history.unexplained >= UNKNOWN_TRIES || history.alone >= POISON_TRIES {
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
