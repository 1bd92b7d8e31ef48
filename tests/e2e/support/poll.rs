//! Waiting for an effect in another process.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for an effect that should be immediate; generous, because the machine may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Waits until `condition` holds; panics with `what` when it does not within `limit`.
pub(crate) fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let met = poll(limit, || condition().then_some(()));
    assert!(met.is_some(), "not within {limit:?}: {what}");
}

/// Calls `ask` again until it returns a value or `limit` has passed.
pub(crate) fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the heavy cases run at full size. `make nightly` asks for that; in other runs their load would disturb other
/// tests.
pub(crate) fn nightly() -> bool {
    std::env::var("PYROTEE_NIGHTLY").is_ok_and(|value| value == "1")
}
