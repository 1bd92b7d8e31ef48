//! Whether the relay lives, and whether it wants requests.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// How often the data path shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// Silence after which it is taken for dead: far beyond what load explains.
const DEAD_AFTER: Duration = Duration::from_secs(60);

// The phases of a relay.
const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

/// State for the probes. It depends on no target and no upstream: that one of them is down is no
/// reason to restart the relay or to take it out of rotation.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    last_beat: AtomicU64,
    phase: AtomicU8,
}

impl Default for Health {
    /// Alive since now, and not ready.
    fn default() -> Self {
        Self {
            started: Instant::now(),
            last_beat: AtomicU64::new(0),
            phase: AtomicU8::new(STARTING),
        }
    }
}

impl Health {
    /// The relay wants requests from now on, unless it stops already.
    pub fn set_ready(&self) {
        let phase = &self.phase;
        // An error says that it is ready, or stops.
        phase
            .compare_exchange(STARTING, READY, Relaxed, Relaxed)
            .ok();
    }

    /// The relay wants no more requests.
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

    /// Shows that the runtime it is called on lives; never returns.
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
