//! Liveness and readiness of the relay.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Interval of the data path's heartbeat.
const BEAT: Duration = Duration::from_secs(1);

/// Time without a heartbeat after which the data path counts as dead: far longer than load can delay a heartbeat.
const DEAD_AFTER: Duration = Duration::from_secs(60);

// The phases of a relay.
const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

/// Liveness and readiness for the probes. Both depend on no target and no upstream: a target or an upstream that is
/// down is no reason to restart the relay or to take the relay out of rotation.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    last_beat: AtomicU64,
    phase: AtomicU8,
}

impl Default for Health {
    /// A relay that is alive and not ready yet.
    fn default() -> Self {
        Self {
            started: Instant::now(),
            last_beat: AtomicU64::new(0),
            phase: AtomicU8::new(STARTING),
        }
    }
}

impl Health {
    /// Makes the relay ready, unless the relay is stopping already.
    pub fn set_ready(&self) {
        let phase = &self.phase;
        // An error means that the relay is ready or stopping already.
        phase
            .compare_exchange(STARTING, READY, Relaxed, Relaxed)
            .ok();
    }

    /// Makes the relay not ready for the rest of its life.
    pub fn set_stopping(&self) {
        self.phase.store(STOPPING, Relaxed);
    }

    pub fn is_ready(&self) -> bool {
        self.phase.load(Relaxed) == READY
    }

    /// Whether the data path's runtime still runs tasks.
    pub fn is_alive(&self) -> bool {
        self.seconds().saturating_sub(self.last_beat.load(Relaxed)) < DEAD_AFTER.as_secs()
    }

    /// Records a heartbeat of the calling runtime once per `BEAT`; never returns.
    pub async fn beat(&self) {
        let mut ticks = tokio::time::interval(BEAT);
        loop {
            ticks.tick().await;
            self.last_beat.store(self.seconds(), Relaxed);
        }
    }

    fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_stops_does_not_become_ready() {
        let health = Health::default();
        health.set_ready();
        assert!(health.is_ready());
        health.set_stopping();
        health.set_ready();
        assert!(!health.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_stands_still_is_dead_and_one_that_goes_on_lives_again() {
        let health = Health::default();
        assert!(health.is_alive() && !health.is_ready());
        tokio::time::advance(DEAD_AFTER).await;
        assert!(!health.is_alive());
        let _never = tokio::time::timeout(Duration::from_millis(1), health.beat()).await;
        assert!(health.is_alive());
    }
}
