//! Counts the uploads that are active at once, and limits the size of each read by their number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

const KIB: u64 = 1024;

/// Pairs of a number of uploads and the size of one read, in bytes, while fewer uploads than that are active. Up to
/// three reads of a body are in the relay at once. Each read is a system call: a body of 1 MB takes a tenth to a fifth
/// less CPU in reads of 124 KiB than in reads of 60 KiB. Larger reads save no more.
const LIMITS: [(usize, u64); 2] = [(17, 124 * KIB), (65, 60 * KIB)];

/// Size of one read, in bytes, with more active uploads than [`LIMITS`] covers.
const LEAST: u64 = 28 * KIB;

/// The number of active uploads over all connections of a listener.
///
/// hyper doubles a connection's read buffer whenever a read fills it, and shrinks it after small
/// reads. A limit of a page less than a power of two keeps the buffer at that power of two.
#[derive(Debug)]
pub(crate) struct ActiveUploads {
    uploads: AtomicUsize,
    read_limit: Arc<AtomicU64>,
}

impl Default for ActiveUploads {
    fn default() -> Self {
        Self {
            uploads: AtomicUsize::new(0),
            read_limit: Arc::new(AtomicU64::new(read_limit(0))),
        }
    }
}

impl ActiveUploads {
    pub(super) fn begin(&self) {
        let others = self.uploads.fetch_add(1, Relaxed);
        self.read_limit.store(read_limit(others + 1), Relaxed);
    }

    pub(super) fn end(&self) {
        let with_this = self.uploads.fetch_sub(1, Relaxed);
        self.read_limit.store(read_limit(with_this - 1), Relaxed);
    }

    /// The largest read allowed now, in bytes. This limit bounds the read buffers of all connections together.
    pub(crate) fn read_limit(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read_limit)
    }
}

fn read_limit(uploads: usize) -> u64 {
    LIMITS
        .into_iter()
        .find(|(below, _)| uploads < *below)
        .map_or(LEAST, |(_, limit)| limit)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::client::Client;

    #[test]
    fn the_more_clients_upload_the_less_each_reads_at_a_time() {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4040));
        let client = Arc::new(Client::new(peer, false, Arc::default()));
        let mut under_way = Vec::new();
        let mut limit_of = |count: usize| {
            under_way.truncate(count);
            under_way.resize_with(count, || client.begin_upload());
            client.uploads.read_limit().load(Relaxed)
        };
        assert_eq!(limit_of(0), 124 * KIB);
        assert_eq!(limit_of(16), 124 * KIB);
        assert_eq!(limit_of(17), 60 * KIB);
        assert_eq!(limit_of(64), 60 * KIB);
        assert_eq!(limit_of(65), 28 * KIB);
        assert_eq!(limit_of(1), 124 * KIB, "those that ended do not count");
    }
}
