//! Panics of a delivery, which are bugs, and which end neither the relay nor the target.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use pyrotee_queue::{Lease, Reason, RetryHistory};
use tokio::time::Instant;

use super::uploader::Uploader;
use crate::DeadLetterReason;
use crate::flow::Backoff;

/// A record is dropped after this many panics.
const MAX_PANICS: u32 = 3;

/// Longest text of a panic that is logged and kept, in characters.
const MAX_TEXT: usize = 512;

impl Uploader {
    /// Settles a record whose attempt panicked. The panic counts against the record, since the next record is
    /// uploaded by the same code; the target is not judged.
    pub(super) fn settle_panic(&self, lease: Lease, panic: &str) {
        let history = lease.history();
        let history = RetryHistory {
            failures: history.failures.saturating_add(1),
            panics: history.panics + 1,
            ..history
        };
        if history.panics < MAX_PANICS {
            self.log.panicked(&self.name, panic, "kept");
            self.metrics.retries.increment(1);
            let delay = Backoff::FAILING.delay(history.failures.saturating_sub(1));
            lease.retry(Instant::now() + delay, history);
            return;
        }
        let reason = Reason::Undecodable;
        self.log.panicked(&self.name, panic, reason.as_str());
        let response = format!("its upload panicked {MAX_PANICS} times: {panic}");
        let kept_as = DeadLetterReason::Undecodable;
        self.offer_dead_letter(&lease, kept_as, history.last_status, &response);
        lease.lose(reason);
    }
}

/// Awaits `future`, and returns the text of its panic if it panics.
pub(super) async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    // The state that the future shares with others is behind locks that are never held at a panic half-way through a
    // change (see `pyrotee_queue::lock`), and the future itself is not polled again.
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(text(&*panic))),
        },
    )
    .await
}

/// One line.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let line = text.unwrap_or("unknown").chars().take(MAX_TEXT);
    line.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
