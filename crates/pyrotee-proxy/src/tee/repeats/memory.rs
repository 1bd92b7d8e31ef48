//! The memory of failed tries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::digest::Digest;

/// How long a try is remembered after its end. SDKs give up sooner: their delays grow to half a
/// minute, and a profile that comes again later than this is another one to them, too.
pub(super) const REMEMBERED: Duration = Duration::from_secs(120);

/// Most entries that one step clears, so that no request pays for a storm that is over.
const CLEARED: usize = 64;

/// What makes two requests the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Hash of surface and query.
    pub(super) head: u64,
    /// Length of the body, in bytes.
    pub(super) len: u64,
    /// Of the body.
    pub(super) digest: Digest,
}

/// What is known of a request before its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opening {
    pub(super) head: u64,
    /// Announced length of the body.
    pub(super) len: Option<u64>,
}

/// Tries that failed not long ago, at most as many as fit: then the oldest is forgotten, and its
/// repetition is teed.
#[derive(Debug)]
pub(super) struct Memory {
    capacity: usize,
    /// The turn at which each was last remembered.
    known: BTreeMap<Key, u64>,
    /// Every key by its turn, which is also the order in which they expire.
    turns: BTreeMap<u64, (Key, Instant)>,
    turn: u64,
    /// Tries that have failed and have no digest yet, with the turn of that. Each is a request that is
    /// still being read, or a record, so that others limit them.
    undigested: BTreeSet<(Opening, u64)>,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            known: BTreeMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
            undigested: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.undigested.is_empty()
    }

    /// A try has failed whose body is not digested, or not even whole. Gives the turn of that.
    pub(super) fn expect(&mut self, opening: Opening) -> u64 {
        self.turn += 1;
        self.undigested.insert((opening, self.turn));
        self.turn
    }

    /// It is digested now, or never will be.
    pub(super) fn expect_no_more(&mut self, opening: Opening, turn: u64) {
        self.undigested.remove(&(opening, turn));
    }

    /// Whether a request with this key may repeat a try that has no digest yet. Only what had failed
    /// by `turn`, when the request began, can be what it repeats; so no two wait for each other.
    pub(super) fn expects(&self, key: &Key, turn: u64) -> bool {
        let failed = |len| {
            let opening = Opening {
                head: key.head,
                len,
            };
            (opening, 0)..=(opening, turn)
        };
        [None, Some(key.len)]
            .into_iter()
            .any(|len| self.undigested.range(failed(len)).next().is_some())
    }

    /// Remembers `key` from now on for its whole time, anew if it is there already.
    pub(super) fn remember(&mut self, key: Key) {
        self.clear();
        self.turn += 1;
        if let Some(before) = self.known.insert(key, self.turn) {
            self.turns.remove(&before);
        }
        let expires = Instant::now() + REMEMBERED;
        self.turns.insert(self.turn, (key, expires));
        if self.known.len() > self.capacity {
            self.forget_oldest();
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(turn) = self.known.remove(key) {
            self.turns.remove(&turn);
        }
    }

    /// Whether a try with this key is remembered.
    pub(super) fn knows(&self, key: &Key) -> bool {
        let turn = self.known.get(key);
        turn.and_then(|turn| self.turns.get(turn))
            .is_some_and(|(_, expires)| *expires > Instant::now())
    }

    /// Whether a request that opens so may repeat a failed try, and the turn by which that failed. An
    /// expired one that is still there raises the suspicion, too.
    pub(super) fn suspects(&mut self, opening: Opening) -> Option<u64> {
        self.clear();
        let (head, len) = (opening.head, opening.len);
        let (shortest, longest) = (len.unwrap_or(0), len.unwrap_or(u64::MAX));
        let key = |len, byte| Key {
            head,
            len,
            digest: [byte; 32],
        };
        let known = key(shortest, u8::MIN)..=key(longest, u8::MAX);
        let failed = |shortest, longest| {
            let opening = |len| Opening { head, len };
            let range = (opening(shortest), u64::MIN)..=(opening(longest), u64::MAX);
            self.undigested.range(range).next().is_some()
        };
        let suspected = self.known.range(known).next().is_some()
            || failed(Some(shortest), Some(longest))
            || failed(None, None);
        suspected.then_some(self.turn)
    }

    fn clear(&mut self) {
        let now = Instant::now();
        for _ in 0..CLEARED {
            match self.turns.first_key_value() {
                Some((_, (_, expires))) if *expires <= now => self.forget_oldest(),
                _ => return,
            }
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, (key, _))) = self.turns.pop_first() {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn key(head: u64, len: u64, digest: u8) -> Key {
        Key {
            head,
            len,
            digest: [digest; 32],
        }
    }

    fn opening(head: u64, len: Option<u64>) -> Opening {
        Opening { head, len }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_try_is_remembered_for_its_time_and_not_longer() {
        let mut memory = Memory::new(10);
        memory.remember(key(1, 2, 3));
        advance(REMEMBERED - SECOND).await;
        assert!(memory.knows(&key(1, 2, 3)));
        advance(SECOND).await;
        assert!(!memory.knows(&key(1, 2, 3)));
        assert!(memory.suspects(opening(1, None)).is_none());
        assert!(memory.is_empty() && memory.turns.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_repetition_that_fails_is_remembered_anew() {
        let mut memory = Memory::new(10);
        for _ in 0..8 {
            memory.remember(key(1, 2, 3));
            advance(REMEMBERED - SECOND).await;
            assert!(memory.knows(&key(1, 2, 3)));
            assert_eq!((memory.known.len(), memory.turns.len()), (1, 1));
        }
        memory.forget(&key(1, 2, 3));
        assert!(!memory.knows(&key(1, 2, 3)));
        assert!(memory.is_empty() && memory.turns.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn head_length_and_digest_must_all_be_the_same() {
        let mut memory = Memory::new(10);
        memory.remember(key(1, 2, 3));
        for other in [key(0, 2, 3), key(1, 1, 3), key(1, 2, 4)] {
            assert!(!memory.knows(&other), "{other:?}");
        }
        for (head, len, suspected) in [
            (1, Some(2), true),
            (1, None, true),
            (1, Some(1), false),
            (1, Some(3), false),
            (0, None, false),
            (2, None, false),
        ] {
            let opening = opening(head, len);
            assert_eq!(memory.suspects(opening).is_some(), suspected, "{opening:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_digested_is_suspected_and_not_known() {
        let mut memory = Memory::new(10);
        for len in [Some(2), None] {
            let before = memory.turn;
            let turns = [(); 2].map(|()| memory.expect(opening(1, len)));
            for turn in turns {
                assert!(memory.suspects(opening(1, None)).is_some());
                let longer = memory.suspects(opening(1, Some(3)));
                assert_eq!(longer.is_some(), len.is_none());
                let since = memory.suspects(opening(1, Some(2))).unwrap();
                assert!(memory.expects(&key(1, 2, 3), since) && !memory.knows(&key(1, 2, 3)));
                assert!(!memory.expects(&key(1, 2, 3), before), "failed later");
                memory.expect_no_more(opening(1, len), turn);
            }
            assert!(memory.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_when_the_memory_is_full() {
        let mut memory = Memory::new(3);
        for len in 0..3 {
            memory.remember(key(1, len, 0));
        }
        memory.remember(key(1, 0, 0));
        memory.remember(key(1, 3, 0));
        let known: Vec<_> = (0..4).map(|len| memory.knows(&key(1, len, 0))).collect();
        assert_eq!(known, [true, false, true, true]);
        assert_eq!((memory.known.len(), memory.turns.len()), (3, 3));
    }
}
