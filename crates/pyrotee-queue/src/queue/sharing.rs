//! Hands queued records over to a backlog that several relays share.
//!
//! A task of the backend takes records out beside the consumer. Taken records count as leased until they are handed over
//! or put back, so that the limits of the queue and its end hold for them.

use std::time::Duration;

use tokio::time::Instant;

use super::Queue;
use super::entry::{LeasedEntry, QueuedRecord};
use super::state::Phase;
use crate::lock;

/// Which record [`Queue::take_waiting`] takes out. Records with a failed delivery stay in the queue as long as possible:
/// they may be poison, and the queue knows their history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The oldest untried record, if it was offered at least so long ago.
    For(Duration),
    /// The oldest untried record.
    Oldest,
    /// The oldest record, also one with a failed delivery that waits for its retry.
    Any,
}

impl<R: QueuedRecord> Queue<R> {
    /// Takes out a record to be handed over, if it passes `fits`, which is called under the lock of the queue. The record
    /// counts as leased until [`hand_over`](Self::hand_over) or [`put_back`](Self::put_back). `None`: no record waits as
    /// described, or the queue is frozen or abandoned. For each
    /// surface few records that do not fit are passed over, so that the lock is not held for long.
    pub fn take_waiting(
        &self,
        waiting: Waiting,
        mut fits: impl FnMut(&R) -> bool,
    ) -> Option<LeasedEntry<R>> {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Frozen | Phase::Abandoned(_)) {
            return None;
        }
        let key = match waiting {
            Waiting::Any => {
                let mut all = state.queued.counted(0..u64::MAX);
                all.find(|(_, record)| fits(record))?.0
            }
            Waiting::Oldest => state.queued.oldest_untried(&mut fits)?.0,
            Waiting::For(least) => {
                let (key, offered) = state.queued.oldest_untried(&mut fits)?;
                (offered.elapsed() >= least).then_some(key)?
            }
        };
        let taken = state.queued.take_out(key)?;
        Some(state.note_lease(taken))
    }

    /// Ends the lease of a record that the shared backlog has now.
    pub fn hand_over(&self, leased: LeasedEntry<R>) {
        let LeasedEntry { key, entry, .. } = leased;
        entry.record.settled(None);
        self.ledger.hand_over(entry.record.len());
        self.end_lease(lock(&self.state), key);
    }

    /// When the oldest untried record was offered that is queued and not leased. `None`: there is none.
    pub fn oldest_untried(&self) -> Option<Instant> {
        let state = lock(&self.state);
        let oldest = state.queued.oldest_untried(&mut |_| true);
        oldest.map(|(_, offered)| offered)
    }

    /// Wakes [`pressed`](Self::pressed) from now on when the queue reaches three quarters of a limit.
    pub fn watch_pressure(&self) {
        lock(&self.state).watch_pressure();
    }

    /// Waits until the queue reaches three quarters of a limit. Returns at once if it has done so since the last call.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Whether the queue has reached three quarters of a limit. `false` before [`watch_pressure`](Self::watch_pressure).
    pub fn is_pressed(&self) -> bool {
        lock(&self.state).is_pressed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::{
        LeaseEnd, LeaseFilter, Ledger, Limits, Reason, RetryHistory, SurfaceId, TakeResult,
        WhenFull,
    };

    /// A record of this length.
    #[derive(Debug)]
    struct Length(u64);

    impl QueuedRecord for Length {
        fn surface(&self) -> SurfaceId {
            SurfaceId(u8::try_from(self.0 % 3).unwrap_or_default())
        }

        fn received(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn len(&self) -> u64 {
            self.0
        }
    }

    fn limits(records: usize, bytes: u64) -> Limits {
        Limits {
            records,
            bytes,
            when_full: WhenFull::DropNewest,
        }
    }

    fn queue() -> Queue<Length> {
        Queue::new(limits(8, 80), Arc::<Ledger>::default())
    }

    fn lease(queue: &Queue<Length>) -> LeasedEntry<Length> {
        match queue.take(&LeaseFilter::ANY, 0) {
            TakeResult::Leased(leased) => leased,
            other => panic!("{other:?}"),
        }
    }

    fn fail(queue: &Queue<Length>, leased: LeasedEntry<Length>) {
        let history = RetryHistory {
            failures: 1,
            ..RetryHistory::default()
        };
        let at = Instant::now() + Duration::from_secs(60);
        queue.settle(leased, LeaseEnd::Retried { at, history });
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_waited_long_enough_is_taken_and_failed_records_come_last() {
        let queue = queue();
        let after = Duration::from_secs(10);
        queue.push(Length(1));
        fail(&queue, lease(&queue));
        queue.push(Length(2));
        tokio::time::advance(after / 2).await;
        queue.push(Length(3));
        assert!(queue.take_waiting(Waiting::For(after), |_| true).is_none());
        tokio::time::advance(after / 2).await;
        let taken = queue
            .take_waiting(Waiting::For(after), |_| true)
            .expect("it waited");
        assert_eq!(taken.record().0, 2);
        assert!(queue.take_waiting(Waiting::For(after), |_| true).is_none());
        queue.put_back(taken);
        let mut handed_over = Vec::new();
        while let Some(taken) = queue.take_waiting(Waiting::Oldest, |_| true) {
            handed_over.push(taken.record().0);
            queue.hand_over(taken);
        }
        assert_eq!(handed_over, [2, 3], "in the order of their offers");
        queue.close(Reason::Shutdown);
        let taken = queue
            .take_waiting(Waiting::Any, |_| true)
            .expect("the failed one");
        assert_eq!((taken.record().0, taken.history().failures), (1, 1));
        assert!(matches!(queue.take(&[], 0), TakeResult::NoMatch { .. }));
        queue.hand_over(taken);
        assert!(matches!(queue.take(&[], 0), TakeResult::Finished));
        let counts = queue.ledger().snapshot();
        assert!(counts.balance(), "{counts:?}");
        assert_eq!(counts.handed_over.bytes, 6);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_passed_over() {
        let queue = queue();
        for bytes in [9, 6, 3, 4] {
            assert!(queue.push(Length(bytes)));
        }
        let mut too_long = Vec::new();
        let mut fits = |record: &Length| {
            too_long.extend((record.0 > 5).then_some(record.0));
            record.0 <= 5
        };
        for (waiting, expected) in [(Waiting::Oldest, 3), (Waiting::Any, 4)] {
            let taken = queue.take_waiting(waiting, &mut fits).expect("one fits");
            assert_eq!(taken.record().0, expected);
            queue.hand_over(taken);
        }
        assert!(queue.take_waiting(Waiting::Any, &mut fits).is_none());
        too_long.sort_unstable();
        too_long.dedup();
        assert_eq!(too_long, [6, 9]);
    }

    #[tokio::test]
    async fn a_queue_that_reaches_three_quarters_of_a_limit_wakes_once() {
        let queue = queue();
        assert!(queue.push(Length(70)));
        assert!(!queue.is_pressed(), "nobody asks");
        queue.watch_pressure();
        assert!(queue.is_pressed());
        queue.hand_over(
            queue
                .take_waiting(Waiting::Oldest, |_| true)
                .expect("one waits"),
        );
        for _ in 0..7 {
            assert!(queue.push(Length(1)));
        }
        queue.pressed().await;
        assert!(queue.is_pressed());
        let woken = tokio::time::timeout(Duration::from_millis(1), queue.pressed()).await;
        assert!(woken.is_err(), "it was pressed before");
        queue.reopen(limits(100, 80));
        assert!(!queue.is_pressed());
        assert!(queue.push(Length(60)));
        queue.pressed().await;
    }
}
