//! The part of one relay in the flow control of a target that several relays share.
//!
//! Each relay knows the outcomes of its own uploads alone. So the relays divide what a person configures for the target
//! as a whole: each takes an equal part of the replay rate, and probes a target that is down so rarely that all of them
//! together probe as often as one relay would. A relay whose probe succeeds tells the others, which then probe soon.
//!
//! Not divided: the first probes, which verify an outage within seconds; a pause that the target names; and the limit
//! of uploads at once, which follows the target's latency.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

use super::{Backoff, FlowControl, FlowState};

/// Time within which a relay probes after another relay's probe succeeded, so that not all probe at the same instant.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// How many relays share the target, and what they divide.
#[derive(Debug, Clone, Copy)]
pub(super) struct FleetShare {
    /// At least one, this relay included.
    relays: u32,
    /// Bytes per second of all relays together; `None` is no limit.
    replay_rate: Option<NonZeroU64>,
}

impl FleetShare {
    /// The share of a relay that is alone.
    pub(super) fn alone(replay_rate: Option<NonZeroU64>) -> Self {
        Self {
            relays: 1,
            replay_rate,
        }
    }

    /// The share of one of as many relays, in another rate.
    pub(super) fn with_rate(self, replay_rate: Option<NonZeroU64>) -> Self {
        Self {
            replay_rate,
            ..self
        }
    }

    /// This relay's part of the replay rate.
    pub(super) fn replay_rate(self) -> Option<NonZeroU64> {
        self.replay_rate.map(|rate| {
            let part = NonZeroU64::new(rate.get() / u64::from(self.relays));
            part.unwrap_or(NonZeroU64::MIN)
        })
    }

    /// The backoff of this relay, where a relay that is alone has `backoff`.
    pub(super) fn backoff(self, backoff: Backoff) -> Backoff {
        backoff.shared_by(self.relays)
    }
}

impl FlowState {
    /// Puts another share in force. A delay that has begun stays.
    pub(super) fn share(&mut self, fleet: FleetShare) {
        self.fleet = fleet;
        self.pacer.set_rate(fleet.replay_rate());
    }
}

impl FlowControl {
    /// Tells how many relays share the target, this one included; 0 is taken for 1.
    pub(crate) fn set_relays(&self, relays: u32) {
        let relays = relays.max(1);
        let mut state = self.lock();
        if state.fleet.relays == relays {
            return;
        }
        let fleet = FleetShare {
            relays,
            ..state.fleet
        };
        state.share(fleet);
        drop(state);
        self.changed.notify_one();
    }

    /// Probes the target, and the surfaces that are suspended, within [`PROBE_WITHIN`]. Changes nothing while uploads are
    /// not blocked.
    pub(crate) fn probe_soon(&self) {
        let at = Instant::now() + PROBE_WITHIN.mul_f64(fastrand::f64());
        let mut state = self.lock();
        state.target.probe_by(at);
        for flow in state.surfaces.values_mut() {
            flow.breaker.probe_by(at);
        }
        drop(state);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pyroscope_wire::refusal::Meaning;
    use pyrotee_queue::Lane;

    use super::super::tests::{INGEST, answered, backlog, fresh, ok, send, unreachable};
    use super::*;
    use crate::status::TargetState;

    /// Bytes of backlog that relays with this rate send in ten minutes, in records of 100 bytes.
    async fn replayed(flows: &[Arc<FlowControl>]) -> u64 {
        let (end, mut bytes) = (Instant::now() + Duration::from_secs(600), 0);
        while Instant::now() < end {
            for flow in flows {
                let wanted = flow.plan().wanted;
                if wanted.iter().any(|wanted| wanted.lane == Lane::Backlog) {
                    let permit = flow.permit(&backlog(INGEST)).expect("it is wanted");
                    let _change = permit.complete(&ok());
                    bytes += 100;
                }
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        bytes
    }

    fn fleet(relays: u32, replay_rate: Option<NonZeroU64>) -> Vec<Arc<FlowControl>> {
        let flow = || {
            let flow = FlowControl::new(64, replay_rate);
            flow.set_relays(relays);
            flow
        };
        (0..relays).map(|_| flow()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_relays_together_keep_to_the_replay_rate() {
        let expected = 600 * 400;
        for relays in [1, 4] {
            let bytes = replayed(&fleet(relays, NonZeroU64::new(400))).await;
            let most = expected + 100 * u64::from(relays) + 4_000;
            assert!(
                (expected - 4_000..=most).contains(&bytes),
                "{relays}: {bytes}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_relays_outlives_a_change_of_the_settings() {
        let rate = |flow: &FlowControl| flow.lock().fleet.replay_rate().map(NonZeroU64::get);
        let flow = FlowControl::new(64, NonZeroU64::new(9));
        assert_eq!(rate(&flow), Some(9));
        flow.set_relays(4);
        assert_eq!(rate(&flow), Some(2));
        flow.set_limits(64, NonZeroU64::new(80));
        assert_eq!(rate(&flow), Some(20));
        let renewed = flow.renewed(64, NonZeroU64::new(3));
        assert_eq!(rate(&renewed), Some(1), "never zero");
        renewed.set_relays(0);
        assert_eq!(rate(&renewed), Some(3));
        renewed.set_limits(64, None);
        assert_eq!(rate(&renewed), None);
    }

    /// How often relays probe a target that cannot be reached, in an hour.
    async fn probes(flows: &[Arc<FlowControl>]) -> u32 {
        let (end, mut probes) = (Instant::now() + Duration::from_secs(3_600), 0);
        for flow in flows {
            let _change = send(flow, INGEST, &unreachable());
        }
        while Instant::now() < end {
            for flow in flows {
                if let Some(probe) = flow.permit(&fresh(INGEST)) {
                    let _change = probe.complete(&unreachable());
                    probes += 1;
                }
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        probes
    }

    #[tokio::test(start_paused = true)]
    async fn the_relays_together_probe_as_often_as_one() {
        // A delay is 20 s on average.
        for relays in [1, 5] {
            let probes = probes(&fleet(relays, None)).await;
            assert!((140..=240).contains(&probes), "{relays}: {probes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_verified_within_seconds_by_however_many_relays() {
        let flow = FlowControl::new(64, None);
        flow.set_relays(50);
        let failed = answered(500, Meaning::Transient);
        for _ in 0..5 {
            let _change = send(&flow, INGEST, &failed);
        }
        for expected in [None, Some(TargetState::Open)] {
            let wait = flow.plan().until.expect("a probe will be due") - Instant::now();
            assert!(wait <= Duration::from_secs(1), "{wait:?}");
            tokio::time::advance(wait).await;
            assert_eq!(send(&flow, INGEST, &failed).state, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_target_names_is_not_multiplied() {
        let flow = FlowControl::new(64, None);
        flow.set_relays(50);
        let pause = Duration::from_secs(20);
        let throttled = answered(429, Meaning::Throttled).with_quota_reset(Some(pause));
        for _ in 0..2 {
            let _change = send(&flow, INGEST, &throttled);
        }
        let wait = flow.snapshot().next_try.expect("it is throttled");
        assert!(wait >= pause && wait <= Duration::from_secs(22), "{wait:?}");
    }

    async fn probed_soon(flow: &Arc<FlowControl>) {
        let wait = || flow.plan().until.expect("it is blocked") - Instant::now();
        let soon = Duration::from_secs(1);
        assert!(wait() > soon, "{:?}", wait());
        flow.probe_soon();
        assert!(wait() <= soon, "{:?}", wait());
        tokio::time::advance(wait()).await;
        let probe = flow.permit(&fresh(INGEST)).expect("a probe is due");
        assert!(flow.permit(&fresh(INGEST)).is_none(), "one is enough");
        assert!(probe.complete(&ok()).recovered);
    }

    #[tokio::test(start_paused = true)]
    async fn after_another_relays_success_a_probe_is_due_within_a_second() {
        let flow = FlowControl::new(64, None);
        flow.set_relays(10);
        flow.probe_soon();
        assert_eq!(flow.plan().until, None, "nothing is blocked");
        let _change = send(&flow, INGEST, &unreachable());
        probed_soon(&flow).await;
        for refusals in 1..=7 {
            if refusals > 5 {
                tokio::time::sleep_until(flow.plan().until.expect("a probe will be due")).await;
            }
            let _change = send(&flow, INGEST, &answered(404, Meaning::Broken));
        }
        assert_eq!(flow.snapshot().state, TargetState::Suspended);
        probed_soon(&flow).await;
    }
}
