//! How many clients upload at once, and how much each may read at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const KIB: u64 = 1024;

/// Below this many uploads, in bytes, the limit of one read. Up to three such pieces of a body are on
/// their way through the relay at once. Each read is a call of the kernel: a body of 1 MB takes a tenth to a
/// fifth less CPU in reads of 124 KiB than in those of 60, and no less in larger ones.
const LIMITS: [(usize, u64); 2] = [(17, 124 * KIB), (65, 60 * KIB)];

/// The limit for each of more uploads than that.
const LEAST: u64 = 28 * KIB;

/// The uploads of all connections of a listener that are under way.
///
/// hyper doubles a connection's read buffer whenever a read fills it. A limit of a page less than a
/// power of two keeps the buffer there, and reads that stay small make it small again.
#[derive(Debug, Default)]
pub(crate) struct Uploads(AtomicUsize);

/// One upload that is under way; it ends with this.
#[derive(Debug)]
pub(crate) struct Upload(Arc<Uploads>);

impl Uploads {
    pub(crate) fn begin(self: &Arc<Self>) -> Upload {
        self.0.fetch_add(1, Relaxed);
        Upload(Arc::clone(self))
    }

    /// Most bytes of one read now: what connections buffer altogether is bounded.
    pub(crate) fn read_limit(&self) -> u64 {
        let uploads = self.0.load(Relaxed);
        LIMITS
            .into_iter()
            .find(|(below, _)| uploads < *below)
            .map_or(LEAST, |(_, limit)| limit)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_clients_upload_the_less_each_reads_at_a_time() {
        let uploads = Arc::new(Uploads::default());
        let mut under_way = Vec::new();
        let mut limit_of = |count: usize| {
            under_way.truncate(count);
            under_way.resize_with(count, || uploads.begin());
            uploads.read_limit()
        };
        assert_eq!(limit_of(0), 124 * KIB);
        assert_eq!(limit_of(16), 124 * KIB);
        assert_eq!(limit_of(17), 60 * KIB);
        assert_eq!(limit_of(64), 60 * KIB);
        assert_eq!(limit_of(65), 28 * KIB);
        assert_eq!(limit_of(1), 124 * KIB, "those that ended do not count");
    }
}
