//! Whether the relay lives, and whether it wants requests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// How often the data path shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// Silence after which it is taken for dead: far beyond what load explains.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// State for the probes. It depends on no target and no upstream: that one of them is down is no
/// reason to restart the relay or to take it out of rotation.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    last_beat: AtomicU64,
    ready: AtomicBool,
}

impl Default for Health {
    /// Alive since now, and not ready.
    fn default() -> Self {
        Self {
            started: Instant::now(),
            last_beat: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }
    }
}

impl Health {
    /// Listeners are bound and nothing is draining; or not.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
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
