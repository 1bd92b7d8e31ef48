//! Panics of a delivery, which are bugs, and which end neither the relay nor the target.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Longest text of a panic that is logged and kept, in characters.
const MAX_TEXT: usize = 512;

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
