//! Tracks the phase of a connection and its deadlines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_net::server::{BodyGuard, ConnectionTimeouts, Deadlines, Phase};
use pyrotee_queue::lock;
use tokio::time::Instant;

/// The phase and the deadlines of one HTTP/1 connection.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) timeouts: Arc<ConnectionTimeouts>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the connection was accepted or the last request ended.
    idle_since: Instant,
    /// When the request in progress began and must end; `None` between two requests.
    request: Option<(Instant, Instant)>,
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client was too slow in this phase.
    Phase(Phase),
    /// The request took too long as a whole.
    Request,
}

impl Activity {
    pub(super) fn new(deadlines: Deadlines) -> Self {
        let state = State {
            idle_since: Instant::now(),
            request: None,
        };
        Self {
            timeouts: Arc::new(ConnectionTimeouts::new(deadlines)),
            state: Mutex::new(state),
        }
    }

    /// The instant since which no request is in progress; `None` during a request.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        state.request.is_none().then_some(state.idle_since)
    }

    /// The next deadline, with the reason for which the connection ends at it.
    pub(super) fn deadline(&self) -> Option<(Instant, Ended)> {
        let request = lock(&self.state).request;
        let request = request.map(|(_, end)| (end, Ended::Request));
        let phase = self.timeouts.deadline();
        let phase = phase.map(|(end, phase)| (end, Ended::Phase(phase)));
        request.into_iter().chain(phase).min_by_key(|(end, _)| *end)
    }
}

/// A request in progress, which ends when the guard is dropped.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl RequestGuard {
    /// Begins a request that may take `timeout`, from the end of its head to the end of the response.
    pub(super) fn begin(activity: &Arc<Activity>, timeout: Duration) -> Self {
        let now = Instant::now();
        lock(&activity.state).request = Some((now, now + timeout));
        activity.timeouts.request_started();
        Self(Arc::clone(activity))
    }

    /// Replaces the time limit of the whole request, which still counts from the begin of the request.
    pub(super) fn limit(&self, timeout: Duration) {
        if let Some((begun, end)) = &mut lock(&self.0.state).request {
            *end = *begun + timeout;
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.request = None;
        state.idle_since = Instant::now();
        drop(state);
        self.0.timeouts.request_ended();
    }
}

/// The request ends with the body of its response.
impl BodyGuard for RequestGuard {}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use hyper::body::Body as _;
    use pyrotee_net::server::GuardBody;

    use super::super::LIMITS;
    use super::*;

    fn left(activity: &Activity) -> Option<(u64, Ended)> {
        let (end, why) = activity.deadline()?;
        Some((end.saturating_duration_since(Instant::now()).as_secs(), why))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_a_time_as_a_whole_which_its_response_may_change() {
        let activity = Arc::new(Activity::new(LIMITS.deadlines));
        assert_eq!(left(&activity), Some((5, Ended::Phase(Phase::Head))));
        let request = RequestGuard::begin(&activity, LIMITS.request);
        tokio::time::advance(Duration::from_secs(45)).await;
        assert_eq!(left(&activity), Some((15, Ended::Request)));
        request.limit(Duration::from_secs(600));
        assert_eq!(left(&activity), Some((555, Ended::Request)));
        drop(request);
        assert_eq!(left(&activity), Some((10, Ended::Phase(Phase::Idle))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_lasts_until_its_body_is_dropped() {
        let activity = Arc::new(Activity::new(LIMITS.deadlines));
        let request = RequestGuard::begin(&activity, LIMITS.request);
        let body = GuardBody::new(Body::from("page"), Some(request));
        assert_eq!(body.size_hint().exact(), Some(4));
        assert_eq!(activity.idle_since(), None);
        drop(body);
        assert_eq!(activity.idle_since(), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_between_two_requests() {
        let activity = Arc::new(Activity::new(LIMITS.deadlines));
        assert_eq!(activity.idle_since(), Some(Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        let request = RequestGuard::begin(&activity, LIMITS.request);
        assert_eq!(activity.idle_since(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(request);
        assert_eq!(activity.idle_since(), Some(Instant::now()));
    }
}
