//! The failed attempts that the retry filter remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::digest::Digest;

/// How long a failed attempt is remembered after its end. SDKs give up sooner: their retry delays grow
/// to half a minute.
pub(super) const RETENTION: Duration = Duration::from_secs(120);

/// Maximum number of attempts that expire in one step, so that no request pays for many at once.
const MAX_EXPIRED_PER_STEP: usize = 64;

/// Identifies a request: two requests with the same key are the same request, sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestKey {
    /// Hash of surface and query.
    pub(super) head: u64,
    /// Length of the body, in bytes.
    pub(super) len: u64,
    /// Digest of the body.
    pub(super) digest: Digest,
}

/// The part of a [`RequestKey`] that is known before the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint {
    /// Hash of surface and query.
    pub(super) head: u64,
    /// Length of the body as announced, in bytes; `None` if it was not.
    pub(super) len: Option<u64>,
}

/// Attempts that failed within [`RETENTION`], at most `capacity`. At the limit the oldest is
/// evicted, and a retry of it is teed.
#[derive(Debug)]
pub(super) struct FailedAttempts {
    capacity: usize,
    /// The generation of each attempt.
    attempts: BTreeMap<RequestKey, u64>,
    /// The same attempts by generation, which is also the order in which they expire.
    by_generation: BTreeMap<u64, (RequestKey, Instant)>,
    /// Number of failures so far.
    generation: u64,
    /// Failed attempts whose body is not digested yet, with the generation of their failure. Each is a
    /// request in flight or a record in memory, so their number is bounded elsewhere.
    undigested: BTreeSet<(Fingerprint, u64)>,
}

impl FailedAttempts {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            attempts: BTreeMap::new(),
            by_generation: BTreeMap::new(),
            generation: 0,
            undigested: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty() && self.undigested.is_empty()
    }

    /// Adds a failed attempt whose body is not digested, or not complete yet. Returns its generation.
    pub(super) fn add_undigested(&mut self, fingerprint: Fingerprint) -> u64 {
        self.generation += 1;
        self.undigested.insert((fingerprint, self.generation));
        self.generation
    }

    /// Removes an undigested attempt, which is digested now or never will be.
    pub(super) fn remove_undigested(&mut self, fingerprint: Fingerprint, generation: u64) {
        self.undigested.remove(&(fingerprint, generation));
    }

    /// Whether a request with this key may be a retry of an undigested attempt. Only attempts up to
    /// `generation`, the generation at the request's start, are considered; so no two requests wait
    /// for each other.
    pub(super) fn matches_undigested(&self, key: &RequestKey, generation: u64) -> bool {
        let failed = |len| {
            let fingerprint = Fingerprint {
                head: key.head,
                len,
            };
            (fingerprint, 0)..=(fingerprint, generation)
        };
        [None, Some(key.len)]
            .into_iter()
            .any(|len| self.undigested.range(failed(len)).next().is_some())
    }

    /// Adds a failed attempt, or renews it if it is there already.
    pub(super) fn add(&mut self, key: RequestKey) {
        self.expire();
        self.generation += 1;
        if let Some(before) = self.attempts.insert(key, self.generation) {
            self.by_generation.remove(&before);
        }
        let expires = Instant::now() + RETENTION;
        self.by_generation.insert(self.generation, (key, expires));
        if self.attempts.len() > self.capacity {
            self.remove_oldest();
        }
    }

    pub(super) fn remove(&mut self, key: &RequestKey) {
        if let Some(generation) = self.attempts.remove(key) {
            self.by_generation.remove(&generation);
        }
    }

    /// Whether an attempt with this key has failed and has not expired.
    pub(super) fn contains(&self, key: &RequestKey) -> bool {
        let generation = self.attempts.get(key);
        generation
            .and_then(|generation| self.by_generation.get(generation))
            .is_some_and(|(_, expires)| *expires > Instant::now())
    }

    /// Returns the current generation if a request with this fingerprint may be a retry. An expired
    /// attempt that is not removed yet counts as well.
    pub(super) fn may_be_retry(&mut self, fingerprint: Fingerprint) -> Option<u64> {
        self.expire();
        let (head, len) = (fingerprint.head, fingerprint.len);
        let (shortest, longest) = (len.unwrap_or(0), len.unwrap_or(u64::MAX));
        let key = |len, byte| RequestKey {
            head,
            len,
            digest: [byte; 32],
        };
        let digested = key(shortest, u8::MIN)..=key(longest, u8::MAX);
        let has_undigested = |shortest, longest| {
            let fingerprint = |len| Fingerprint { head, len };
            let range = (fingerprint(shortest), u64::MIN)..=(fingerprint(longest), u64::MAX);
            self.undigested.range(range).next().is_some()
        };
        let may_be = self.attempts.range(digested).next().is_some()
            || has_undigested(Some(shortest), Some(longest))
            || has_undigested(None, None);
        may_be.then_some(self.generation)
    }

    fn expire(&mut self) {
        let now = Instant::now();
        for _ in 0..MAX_EXPIRED_PER_STEP {
            match self.by_generation.first_key_value() {
                Some((_, (_, expires))) if *expires <= now => self.remove_oldest(),
                _ => return,
            }
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, (key, _))) = self.by_generation.pop_first() {
            self.attempts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn key(head: u64, len: u64, digest: u8) -> RequestKey {
        RequestKey {
            head,
            len,
            digest: [digest; 32],
        }
    }

    fn fingerprint(head: u64, len: Option<u64>) -> Fingerprint {
        Fingerprint { head, len }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_try_is_remembered_for_its_time_and_not_longer() {
        let mut failed = FailedAttempts::new(10);
        failed.add(key(1, 2, 3));
        advance(RETENTION - SECOND).await;
        assert!(failed.contains(&key(1, 2, 3)));
        advance(SECOND).await;
        assert!(!failed.contains(&key(1, 2, 3)));
        assert!(failed.may_be_retry(fingerprint(1, None)).is_none());
        assert!(failed.is_empty() && failed.by_generation.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_repetition_that_fails_is_remembered_anew() {
        let mut failed = FailedAttempts::new(10);
        for _ in 0..8 {
            failed.add(key(1, 2, 3));
            advance(RETENTION - SECOND).await;
            assert!(failed.contains(&key(1, 2, 3)));
            assert_eq!((failed.attempts.len(), failed.by_generation.len()), (1, 1));
        }
        failed.remove(&key(1, 2, 3));
        assert!(!failed.contains(&key(1, 2, 3)));
        assert!(failed.is_empty() && failed.by_generation.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn head_length_and_digest_must_all_be_the_same() {
        let mut failed = FailedAttempts::new(10);
        failed.add(key(1, 2, 3));
        for other in [key(0, 2, 3), key(1, 1, 3), key(1, 2, 4)] {
            assert!(!failed.contains(&other), "{other:?}");
        }
        for (head, len, suspected) in [
            (1, Some(2), true),
            (1, None, true),
            (1, Some(1), false),
            (1, Some(3), false),
            (0, None, false),
            (2, None, false),
        ] {
            let fingerprint = fingerprint(head, len);
            assert_eq!(
                failed.may_be_retry(fingerprint).is_some(),
                suspected,
                "{fingerprint:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_digested_is_suspected_and_not_known() {
        let mut failed = FailedAttempts::new(10);
        for len in [Some(2), None] {
            let before = failed.generation;
            let generations = [(); 2].map(|()| failed.add_undigested(fingerprint(1, len)));
            for generation in generations {
                assert!(failed.may_be_retry(fingerprint(1, None)).is_some());
                let longer = failed.may_be_retry(fingerprint(1, Some(3)));
                assert_eq!(longer.is_some(), len.is_none());
                let since = failed.may_be_retry(fingerprint(1, Some(2))).unwrap();
                assert!(
                    failed.matches_undigested(&key(1, 2, 3), since)
                        && !failed.contains(&key(1, 2, 3))
                );
                assert!(
                    !failed.matches_undigested(&key(1, 2, 3), before),
                    "failed later"
                );
                failed.remove_undigested(fingerprint(1, len), generation);
            }
            assert!(failed.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_when_the_memory_is_full() {
        let mut failed = FailedAttempts::new(3);
        for len in 0..3 {
            failed.add(key(1, len, 0));
        }
        failed.add(key(1, 0, 0));
        failed.add(key(1, 3, 0));
        let known: Vec<_> = (0..4).map(|len| failed.contains(&key(1, len, 0))).collect();
        assert_eq!(known, [true, false, true, true]);
        assert_eq!((failed.attempts.len(), failed.by_generation.len()), (3, 3));
    }
}
