//! The failed requests that the retry filter remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::RequestKey;

/// How long a failed request is remembered after its end. SDKs give up sooner: their retry delays grow
/// to half a minute.
const RETENTION: Duration = Duration::from_secs(120);

/// Maximum number of requests that expire in one step, so that no single request spends time on many of them.
const MAX_EXPIRED_PER_STEP: usize = 64;

/// Requests that failed within [`RETENTION`], at most `capacity`. At the limit the oldest request is evicted, and its
/// retry is teed.
#[derive(Debug)]
pub(crate) struct FailedRequests {
    capacity: u64,
    /// When each request expires.
    expiry: BTreeMap<RequestKey, Instant>,
    /// The requests of `expiry`, in the order in which they expire.
    by_expiry: BTreeSet<(Instant, RequestKey)>,
}

impl FailedRequests {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            expiry: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.expiry.is_empty()
    }

    /// Adds a failed request, or renews its expiry if the request is remembered already.
    pub(crate) fn add(&mut self, key: RequestKey) {
        self.expire();
        self.remove(&key);
        let expires = Instant::now() + RETENTION;
        self.expiry.insert(key, expires);
        self.by_expiry.insert((expires, key));
        if self.expiry.len() as u64 > self.capacity {
            self.remove_oldest();
        }
    }

    pub(crate) fn remove(&mut self, key: &RequestKey) {
        if let Some(expires) = self.expiry.remove(key) {
            self.by_expiry.remove(&(expires, *key));
        }
    }

    /// Whether a request with this key has failed and has not expired.
    pub(crate) fn contains(&mut self, key: &RequestKey) -> bool {
        self.expire();
        let expires = self.expiry.get(key);
        expires.is_some_and(|expires| *expires > Instant::now())
    }

    fn expire(&mut self) {
        let now = Instant::now();
        for _ in 0..MAX_EXPIRED_PER_STEP {
            match self.by_expiry.first() {
                Some((expires, _)) if *expires <= now => self.remove_oldest(),
                _ => return,
            }
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, key)) = self.by_expiry.pop_first() {
            self.expiry.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn key(head: u64, content: u128) -> RequestKey {
        RequestKey { head, content }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_request_is_remembered_for_its_time_and_not_longer() {
        let mut failed = FailedRequests::new(10);
        failed.add(key(1, 2));
        advance(RETENTION - SECOND).await;
        assert!(failed.contains(&key(1, 2)));
        assert!(!failed.contains(&key(1, 3)) && !failed.contains(&key(0, 2)));
        advance(SECOND).await;
        assert!(!failed.contains(&key(1, 2)));
        assert!(failed.is_empty() && failed.by_expiry.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_repetition_that_fails_is_remembered_anew() {
        let mut failed = FailedRequests::new(10);
        for _ in 0..8 {
            failed.add(key(1, 2));
            advance(RETENTION - SECOND).await;
            assert!(failed.contains(&key(1, 2)));
            assert_eq!((failed.expiry.len(), failed.by_expiry.len()), (1, 1));
        }
        failed.remove(&key(1, 2));
        assert!(!failed.contains(&key(1, 2)));
        assert!(failed.is_empty() && failed.by_expiry.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_when_the_memory_is_full() {
        let mut failed = FailedRequests::new(3);
        for content in [0, 1, 2, 0, 3] {
            failed.add(key(1, content));
            advance(SECOND).await;
        }
        let known: Vec<_> = (0..4).map(|it| failed.contains(&key(1, it))).collect();
        assert_eq!(known, [true, false, true, true]);
        assert_eq!((failed.expiry.len(), failed.by_expiry.len()), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_expire_in_bounded_steps_and_none_of_them_is_known() {
        let mut failed = FailedRequests::new(1_000);
        (0..200).for_each(|content| failed.add(key(1, content)));
        advance(RETENTION).await;
        assert!(!failed.contains(&key(1, 199)));
        assert_eq!(failed.expiry.len(), 200 - MAX_EXPIRED_PER_STEP);
        (0..3).for_each(|_| assert!(!failed.contains(&key(1, 199))));
        assert!(failed.is_empty());
    }
}
