//! What the tests share.

use std::path::Path;
use std::time::Duration;

use crate::{Fsync, Settings};

/// Settings whose saves and syncs happen at once or at the close, never by the clock.
pub(super) fn settings(dir: &Path) -> Settings {
    Settings {
        max_bytes: 1 << 20,
        segment_bytes: 16 << 10,
        fsync: Fsync::Always,
        save_every: 1 << 40,
        save_after: Duration::from_secs(3_600),
        retry_after: Duration::from_millis(5),
        ..Settings::new(dir)
    }
}
