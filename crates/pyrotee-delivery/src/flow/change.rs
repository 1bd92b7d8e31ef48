//! Changes of a target's settings while uploads are in flight.

use std::num::NonZeroU64;
use std::sync::Arc;

use tokio::time::Instant;

use super::circuit_breaker::CircuitBreaker;
use super::{FAILURE_THRESHOLD, FlowControl, FlowState, SurfaceFlow};

impl FlowControl {
    /// Changes the limits. Uploads in flight above a lower limit go on.
    pub(crate) fn set_limits(&self, max_uploads: usize, replay_rate: Option<NonZeroU64>) {
        let mut state = self.lock();
        state.concurrency.set_max(max_uploads, Instant::now());
        let fleet = state.fleet.with_rate(replay_rate);
        state.share(fleet);
        drop(state);
        self.changed.notify_one();
    }

    /// Flow control for the same target after a change that makes earlier outcomes meaningless, such as another address:
    /// nothing is blocked, and records that have failed may be retried at once until an upload fails. If the target is
    /// unavailable now, the concurrency limit starts at one.
    pub(crate) fn renewed(&self, max_uploads: usize, replay_rate: Option<NonZeroU64>) -> Arc<Self> {
        let now = Instant::now();
        let state = self.lock();
        let mut renewed = FlowState::new(max_uploads, state.fleet.with_rate(replay_rate));
        renewed.retries_early = true;
        if state.target_state(now).is_outage() {
            renewed.concurrency.restart(now);
        }
        // The histories of records refer to these counts.
        renewed.acked = state.acked;
        let surfaces = state.surfaces.iter().map(|(surface, flow)| {
            let flow = SurfaceFlow {
                breaker: CircuitBreaker::new(FAILURE_THRESHOLD),
                acked: flow.acked,
                others_acked_at_success: state.acked - flow.acked,
            };
            (*surface, flow)
        });
        renewed.surfaces = surfaces.collect();
        drop(state);
        Self::with_state(renewed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pyroscope_wire::refusal::Meaning;
    use pyrotee_queue::Lane;

    use super::super::tests::{INGEST, answered, failed, fresh, ok, send};
    use super::*;
    use crate::status::TargetState;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn has_deferred(flow: &FlowControl) -> bool {
        flow.plan().wanted.iter().any(|wanted| wanted.deferred)
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_flow_control_starts_at_one_only_after_an_outage() {
        let flow = FlowControl::new(64, None);
        assert_eq!(flow.renewed(64, None).snapshot().limit, 32);
        for _ in 0..2 {
            let throttled = answered(429, Meaning::Throttled).with_quota_reset(Some(HOUR));
            let _change = send(&flow, INGEST, &throttled);
        }
        let state = flow.snapshot().state;
        assert_eq!(state, TargetState::Throttled);
        let renewed = flow.renewed(64, None).snapshot();
        assert_eq!((renewed.state, renewed.limit), (TargetState::Healthy, 1));
        assert_eq!(renewed.next_try, None);
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_retried_early_until_an_upload_fails() {
        let flow = FlowControl::new(64, None).renewed(64, None);
        assert!(has_deferred(&flow));
        let _change = send(&flow, INGEST, &ok());
        let _change = send(&flow, INGEST, &answered(400, Meaning::Rejected));
        assert!(has_deferred(&flow));
        let permit = flow.permit(&failed(INGEST)).unwrap();
        let _change = permit.complete(&answered(503, Meaning::Transient));
        assert!(!has_deferred(&flow));
        assert!(flow.plan().wanted.iter().any(|it| it.lane == Lane::Failed));
    }

    #[tokio::test(start_paused = true)]
    async fn the_counts_that_histories_refer_to_go_on() {
        let flow = FlowControl::new(64, None);
        for _ in 0..3 {
            let _change = send(&flow, INGEST, &ok());
        }
        let renewed = flow.renewed(64, None);
        assert_eq!(renewed.acked(INGEST), 3);
        // A late outcome of an old upload concerns the old flow control alone.
        let late = flow.permit(&fresh(INGEST)).unwrap();
        let _change = late.complete(&ok());
        assert_eq!((flow.acked(INGEST), renewed.acked(INGEST)), (4, 3));
    }
}
