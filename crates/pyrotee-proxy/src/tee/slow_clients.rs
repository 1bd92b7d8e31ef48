//! Logs profiles that were lost because their clients are too slow, at a limited rate.

use std::sync::Mutex;
use std::time::Duration;

use pyrotee_queue::lock;
use tokio::time::Instant;

/// Minimum time between two log lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// Logs lost profiles: the first at once, then one line per [`INTERVAL`] with the number of losses that were not
/// logged.
#[derive(Debug, Default)]
pub(crate) struct SlowClientLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    quiet_until: Option<Instant>,
    left_out: u64,
}

impl SlowClientLog {
    /// Logs a profile of which `received` bytes had arrived.
    pub(super) fn log(&self, received: u64) {
        let now = Instant::now();
        let mut state = lock(&self.0);
        if state.quiet_until.is_some_and(|until| now < until) {
            state.left_out += 1;
            return;
        }
        state.quiet_until = Some(now + INTERVAL);
        let left_out = std::mem::take(&mut state.left_out);
        drop(state);
        tracing::warn!(
            received,
            left_out,
            "a client sends a profile too slowly to record it: the profile reaches no target"
        );
    }
}
