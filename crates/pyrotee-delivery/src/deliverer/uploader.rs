//! The upload of one record to one target, and the settlement of the record's lease.

use std::sync::Arc;
use std::time::SystemTime;

use pyroscope_wire::Tags;
use pyrotee_queue::{
    Birth, Consumer, Lane, Lease, Part, Reason, Record, RetryHistory, Supervisor, WallClock,
    catch_panic, lock,
};
use tokio::sync::watch;
use tokio::time::Instant;

use super::captor_tags::CaptorTags;
use super::refresh::Refresher;
use super::settlement::Settlement;
use crate::DeadLetterSink;
use crate::connection::Connection;
use crate::content::BodyUse;
use crate::failure_log::FailureLog;
use crate::flow::{Backoff, FlowChange, Permit};
use crate::monitor::SharedSummary;
use crate::outcome::Outcome;
use crate::route::{Route, Routes};
use crate::status::TargetState;

/// A record is dropped after this many panics.
pub(super) const MAX_PANICS: u32 = 3;

/// Uploads the records of one target and settles their leases. The workers of the target share it. It consists of what
/// belongs to the name of the target; what the settings decide is in the [`Route`].
#[derive(Debug)]
pub(super) struct Uploader {
    pub(super) name: String,
    pub(super) routes: Arc<Routes>,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) summary: SharedSummary,
    pub(super) clock: WallClock,
    pub(super) dead_letters: DeadLetterSink,
    pub(super) refresher: Refresher,
    pub(super) log: FailureLog,
    pub(super) captor_tags: CaptorTags,
    /// How many outages of the target or of a surface have ended by a probe.
    pub(super) recoveries: watch::Sender<u64>,
    pub(super) supervisor: Supervisor,
}

/// A leased record, the permit to upload it, and the route of which the permit is.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) lease: Lease,
    pub(super) permit: Permit,
    pub(super) route: Arc<Route>,
}

/// What is uploaded: a part of the lease, which itself is not shared between threads.
#[derive(Debug)]
struct Subject<'l> {
    record: &'l Arc<Record>,
    birth: Birth,
    tags: Arc<Tags>,
}

impl Uploader {
    /// Records received before this time have expired by the settings of `route`; `None` if it has no `max-age`.
    pub(super) fn expiry(&self, route: &Route) -> Option<SystemTime> {
        self.clock.now().checked_sub(route.settings.max_age?)
    }

    /// Uploads the record of `assignment` and settles the lease. `connection` is the worker's, which leads to the server
    /// of the route, and becomes `None` if the connection cannot be used again.
    pub(super) async fn deliver(
        &self,
        assignment: Assignment,
        connection: &mut Option<Box<Connection>>,
    ) {
        let Assignment {
            lease,
            mut permit,
            route,
        } = assignment;
        if lease.history().panics >= MAX_PANICS {
            let why = format!("the delivery panicked {MAX_PANICS} times");
            self.set_aside(lease, &why);
            return;
        }
        let record = lease.record();
        let subject = Subject {
            record,
            birth: lease.birth(),
            tags: self
                .captor_tags
                .of(record, route.client.tags(), &self.log, &self.name),
        };
        let attempt = self.attempt(&route, &subject, &mut permit, connection);
        let (outcome, body_use) = match catch_panic(attempt).await {
            Ok(Some(attempted)) => attempted,
            Ok(None) => {
                lease.lose(Reason::Expired);
                return;
            }
            Err(panic) => {
                *connection = None;
                self.supervisor.count(Part::Deliverer);
                self.settle_panic(&route, lease, &panic.to_string());
                return;
            }
        };
        if outcome.refuses_credentials() && self.credentials_have_changed(&route).await {
            // Releases the record, and gives the permit back without an outcome.
            route.metrics.retries.increment(1);
            return;
        }
        // Read before this outcome is counted: how many other records of the surface the target acknowledged.
        let acked = route.flow.acked(lease.record().head().surface);
        let change = self.report(&route, permit, &outcome);
        let on_ambiguous = route.settings.on_ambiguous;
        match Settlement::of(&outcome, lease.history(), acked, on_ambiguous) {
            Settlement::Ack => {
                self.keep_rejected_part(&route, &lease, &outcome);
                self.ack(&route, lease, change.recovered);
            }
            Settlement::Drop(reason) => self.drop_record(lease, &outcome, reason),
            Settlement::Retry { delay, history } => {
                // The log line of a state change contains this outcome already.
                if change.state.is_none() {
                    self.log.retried(&self.name, &outcome);
                }
                route.metrics.retries.increment(1);
                if let Some(cause) = outcome.doubling_cause(lease.record().head().surface) {
                    route.metrics.possibly_doubled(cause);
                }
                let at = change.blocked_until.unwrap_or_else(Instant::now) + delay;
                self.retry(&route, lease, at, history, body_use);
            }
        }
    }

    /// Whether another route than that of an upload is in force, after the target refused the credentials of the upload
    /// and these were read again.
    async fn credentials_have_changed(&self, route: &Arc<Route>) -> bool {
        let is_replaced = || !self.routes.is_in_force(route);
        let refreshed =
            self.refresher
                .has_other_route(is_replaced, &self.name, &self.log, &self.supervisor);
        refreshed.await
    }

    /// Puts a record back whose upload with `route` failed: until `at`, or for no time if a replaced flow control chose
    /// `at`.
    fn retry(
        &self,
        route: &Arc<Route>,
        lease: Lease,
        at: Instant,
        history: RetryHistory,
        body_use: Option<BodyUse>,
    ) {
        // A later route may have other tags.
        if let Some(body_use) = body_use.filter(|_| self.routes.is_in_force(route)) {
            body_use.keep_for_retry(lease.record());
        }
        let at = match self.routes.is_flow_in_force(route) {
            true => at,
            false => Instant::now(),
        };
        lease.retry(at, history);
    }

    /// Makes the content of an upload, and uploads it. `None` if the record has expired.
    async fn attempt(
        &self,
        route: &Route,
        subject: &Subject<'_>,
        permit: &mut Permit,
        connection: &mut Option<Box<Connection>>,
    ) -> Option<(Outcome, Option<BodyUse>)> {
        let Subject {
            record,
            birth,
            tags,
        } = subject;
        if self.is_expired(route, birth) {
            return None;
        }
        // The content is made before the upload's clock starts: it does not depend on the target.
        let content = route.client.prepare(record, tags).await;
        // Making the content may have waited for memory.
        if self.is_expired(route, birth) {
            return None;
        }
        permit.start_upload();
        let started = Instant::now();
        let (outcome, body_use) = match content {
            Ok((content, body_use)) => {
                let client = &route.client;
                let upload = client.upload(record, tags, content, connection, &route.metrics);
                (upload.await, body_use)
            }
            Err(reason) => (Outcome::unsendable(reason), None),
        };
        route.metrics.upload_ended(&outcome, started.elapsed());
        if let Some(asked) = outcome.pause()
            && self.routes.is_flow_in_force(route)
        {
            route.metrics.pause(asked);
        }
        lock(&self.summary).add(&outcome, self.clock.now());
        Some((outcome, body_use))
    }

    /// Reports `outcome` to the flow control of `route`, and a change of the target's state to metrics, log and queue. The
    /// state in a flow control that was replaced is not the target's.
    fn report(&self, route: &Route, permit: Permit, outcome: &Outcome) -> FlowChange {
        let change = permit.complete(outcome);
        if !change.recovered && change.state.is_none() || !self.routes.is_flow_in_force(route) {
            return FlowChange {
                state: None,
                ..change
            };
        }
        if change.recovered {
            self.consumer.fall_behind();
            self.recoveries.send_modify(|ended| *ended += 1);
        }
        if let Some(state) = change.state {
            route.metrics.state_changed(state);
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
            remedy = outcome.remedy(),
            next_try_seconds = next_try.map(|wait| wait.as_secs()),
            "target unavailable or refusing profiles; those that it may accept later stay queued"
        );
    }

    fn ack(&self, route: &Route, lease: Lease, closed_circuit: bool) {
        // Count the closing probe as backlog, so that the outage does not show in the fresh-lane latency.
        let lane = match closed_circuit {
            true => Lane::Backlog,
            false => lease.lane(),
        };
        let received = lease.record().head().received;
        let waited = self.clock.now().duration_since(received);
        route.metrics.acked(lane, waited.unwrap_or_default());
        lease.ack();
    }

    /// Settles the lease of a record whose attempt panicked. The panic counts against the record, since the next record
    /// is uploaded by the same code. It does not count against the target.
    fn settle_panic(&self, route: &Route, lease: Lease, panic: &str) {
        let history = lease.history();
        let history = RetryHistory {
            failures: history.failures.saturating_add(1),
            panics: history.panics + 1,
            ..history
        };
        if history.panics < MAX_PANICS {
            self.log.panicked(&self.name, panic, "kept");
            route.metrics.retries.increment(1);
            let delay = Backoff::FAILING.delay(history.failures.saturating_sub(1));
            lease.retry(Instant::now() + delay, history);
            return;
        }
        self.log
            .panicked(&self.name, panic, Reason::Undecodable.as_str());
        let response = format!("the upload panicked {MAX_PANICS} times: {panic}");
        self.keep_undecodable(lease, &response);
    }

    fn is_expired(&self, route: &Route, birth: &Birth) -> bool {
        let expiry = self.expiry(route);
        expiry.is_some_and(|expiry| birth.wall() < expiry)
    }
}
