//! Pacing of uploads.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Limits uploads to a number of bytes a second.
pub(super) struct Pacer {
    bytes_per_second: Option<u64>,
    /// Earliest start of the next upload.
    next: Instant,
}

impl Pacer {
    /// A pacer with this rate; `None`: no limit.
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second,
            next: Instant::now(),
        }
    }

    /// Waits until an upload of `bytes` may start.
    pub(super) async fn wait(&mut self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        sleep_until(self.next).await;
        let took = Duration::from_secs_f64(bytes_to_float(bytes) / bytes_to_float(rate.max(1)));
        self.next = self.next.max(Instant::now()) + took;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a pace need not be exact")]
fn bytes_to_float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pace_holds_bytes_a_second() {
        let started = Instant::now();
        let mut pacer = Pacer::new(Some(1_000));
        for _ in 0..5 {
            pacer.wait(500).await;
        }
        assert_eq!(
            started.elapsed().as_millis(),
            2_000,
            "the first goes at once"
        );
        let mut free = Pacer::new(None);
        free.wait(u64::MAX).await;
        assert_eq!(started.elapsed().as_millis(), 2_000);
    }
}
