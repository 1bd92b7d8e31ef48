//! The account of one target.

use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::Mutex;

use crate::{Reason, lock};

/// A number of profiles, and the total length of their captured bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Profiles.
    pub profiles: u64,
    /// Bytes of captured bodies.
    pub bytes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.profiles += other.profiles;
        self.bytes += other.bytes;
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}

impl Tally {
    /// One profile of `bytes`.
    pub fn of(bytes: u64) -> Self {
        Self { profiles: 1, bytes }
    }

    /// Adds one profile of `bytes`.
    pub fn add(&mut self, bytes: u64) {
        self.profiles += 1;
        self.bytes += bytes;
    }

    fn sub(&mut self, bytes: u64) {
        debug_assert!(
            self.profiles > 0 && self.bytes >= bytes,
            "settled more than was accepted"
        );
        self.profiles = self.profiles.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// A snapshot of a [`Ledger`]: how many profiles one target was offered, and how each of them ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Offered to the target, including those that its queue refused.
    pub accepted: Tally,
    /// Taken from the backlog that several relays share. Zero without one.
    pub taken_over: Tally,
    /// Acknowledged by the target.
    pub sent: Tally,
    /// Queued or in flight.
    pub pending: Tally,
    /// Given to the backlog that several relays share, or given back to it. Zero without one.
    pub handed_over: Tally,
    /// Refused by the queue or never captured: the part of the drops that was never pending.
    pub refused: Tally,
    dropped: [Tally; Reason::ALL.len()],
}

impl Counts {
    /// Dropped for `reason`.
    pub fn dropped(&self, reason: Reason) -> Tally {
        // The array has one element per reason, in the order of their declaration.
        self.dropped
            .get(reason as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Whether `accepted + taken_over = sent + pending + Σ dropped + handed_over`, in profiles and bytes.
    pub fn balance(&self) -> bool {
        let balances = |part: fn(&Tally) -> u64| {
            let came = part(&self.accepted) + part(&self.taken_over);
            let left = part(&self.sent) + part(&self.handed_over);
            came == left + part(&self.pending) + self.dropped.iter().map(part).sum::<u64>()
        };
        balances(|tally| tally.profiles) && balances(|tally| tally.bytes)
    }

    fn drop_for(&mut self, dropped: Tally, reason: Reason) {
        if let Some(tally) = self.dropped.get_mut(reason as usize) {
            *tally += dropped;
        }
    }
}

/// The account of one target. Every change is one step under one lock, so that each snapshot balances.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: Mutex<Counts>,
}

impl Ledger {
    /// Counts a record of `bytes` that entered the queue.
    pub fn accept(&self, bytes: u64) {
        let mut counts = lock(&self.counts);
        counts.accepted.add(bytes);
        counts.pending.add(bytes);
    }

    /// Counts a profile of `bytes` that was offered and not queued, for `reason`.
    pub fn refuse(&self, bytes: u64, reason: Reason) {
        let mut counts = lock(&self.counts);
        counts.accepted.add(bytes);
        counts.refused.add(bytes);
        counts.drop_for(Tally::of(bytes), reason);
    }

    /// Counts the records of an earlier process in one step: `pending` as pending, and `lost`, which cannot be
    /// delivered, as dropped for `reason`.
    pub fn recover(&self, pending: Tally, lost: Tally, reason: Reason) {
        let mut counts = lock(&self.counts);
        for tally in [pending, lost] {
            counts.accepted += tally;
        }
        counts.pending += pending;
        counts.refused += lost;
        counts.drop_for(lost, reason);
    }

    /// Counts a record of `bytes` that came from the shared backlog and is pending now.
    pub fn take_over(&self, bytes: u64) {
        let mut counts = lock(&self.counts);
        counts.taken_over.add(bytes);
        counts.pending.add(bytes);
    }

    /// Counts a pending record of `bytes` that the shared backlog has now.
    pub fn hand_over(&self, bytes: u64) {
        let mut counts = lock(&self.counts);
        counts.pending.sub(bytes);
        counts.handed_over.add(bytes);
    }

    /// Counts records of the shared backlog that are dropped there, for `reason`, without having been pending here.
    pub fn drop_shared(&self, dropped: Tally, reason: Reason) {
        let mut counts = lock(&self.counts);
        counts.taken_over += dropped;
        counts.refused += dropped;
        counts.drop_for(dropped, reason);
    }

    /// Counts a pending record of `bytes` as acknowledged.
    pub fn sent(&self, bytes: u64) {
        let mut counts = lock(&self.counts);
        counts.pending.sub(bytes);
        counts.sent.add(bytes);
    }

    /// Counts a pending record of `bytes` as dropped, for `reason`.
    pub fn lose(&self, bytes: u64, reason: Reason) {
        let mut counts = lock(&self.counts);
        counts.pending.sub(bytes);
        counts.drop_for(Tally::of(bytes), reason);
    }

    /// The counts at this instant.
    pub fn snapshot(&self) -> Counts {
        lock(&self.counts).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_have_distinct_places_and_names() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
            let twins = Reason::ALL
                .iter()
                .filter(|other| other.as_str() == reason.as_str());
            assert_eq!(twins.count(), 1, "{reason:?}");
        }
    }

    #[test]
    fn what_an_earlier_process_left_is_counted_in_one_step() {
        let ledger = Ledger::default();
        ledger.accept(10);
        let tally = |profiles, bytes| Tally { profiles, bytes };
        ledger.recover(tally(3, 300), tally(2, 20), Reason::Corrupt);
        let counts = ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        assert_eq!(counts.accepted, tally(6, 330));
        assert_eq!(counts.pending, tally(4, 310));
        assert_eq!(counts.refused, tally(2, 20));
        assert_eq!(counts.dropped(Reason::Corrupt), tally(2, 20));
    }

    #[test]
    fn what_comes_from_and_goes_to_the_shared_backlog_balances() {
        let ledger = Ledger::default();
        let tally = |profiles, bytes| Tally { profiles, bytes };
        ledger.accept(10);
        ledger.hand_over(10);
        ledger.take_over(20);
        ledger.take_over(30);
        ledger.sent(20);
        ledger.hand_over(30);
        ledger.drop_shared(tally(5, 500), Reason::Admin);
        let counts = ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        assert_eq!(counts.accepted, tally(1, 10));
        assert_eq!(counts.taken_over, tally(7, 550));
        assert_eq!(counts.handed_over, tally(2, 40));
        assert_eq!(counts.pending, tally(0, 0));
        assert_eq!(counts.dropped(Reason::Admin), tally(5, 500));
    }

    #[test]
    fn every_step_leaves_the_account_balanced() {
        let ledger = Ledger::default();
        let check = |step: &str| assert!(ledger.snapshot().balance(), "{step}");
        ledger.accept(10);
        ledger.accept(20);
        ledger.accept(30);
        check("accept");
        ledger.refuse(5, Reason::QueueFull);
        check("refuse");
        ledger.recover(Tally::default(), Tally::default(), Reason::Corrupt);
        check("recover nothing");
        ledger.sent(10);
        check("sent");
        ledger.lose(20, Reason::UploadFailed);
        check("lose");

        let counts = ledger.snapshot();
        assert_eq!(
            counts.accepted,
            Tally {
                profiles: 4,
                bytes: 65
            }
        );
        assert_eq!(
            counts.pending,
            Tally {
                profiles: 1,
                bytes: 30
            }
        );
        assert_eq!(
            counts.refused,
            Tally {
                profiles: 1,
                bytes: 5
            }
        );
        assert_eq!(
            counts.dropped(Reason::UploadFailed),
            Tally {
                profiles: 1,
                bytes: 20
            }
        );
    }
}
