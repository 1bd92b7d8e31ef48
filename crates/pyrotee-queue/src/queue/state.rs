//! The state of a queue that its lock guards.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::entry::{LeasedEntry, QueueEntry, QueuedRecord};
use super::index::EntryIndex;
use crate::{LeaseFilter, Limits, Reason, WhenFull};

#[derive(Debug)]
pub(super) struct State<R> {
    limits: Limits,
    /// Records and bytes from which the queue is pressed; `None`: nobody asks.
    pressed_from: Option<Usage>,
    pub(super) phase: Phase,
    /// Records that are pending and not leased.
    pub(super) queued: EntryIndex<R>,
    /// Records that are leased, by their key.
    pub(super) leased: BTreeMap<u64, InFlightRecord>,
    /// Bytes of `leased`.
    leased_bytes: u64,
    /// Number of records that are neither queued nor leased and still to be accounted for: they are being dropped or
    /// recovered.
    pub(super) unaccounted: usize,
    /// The queued and leased records that count against the limits.
    in_memory: Usage,
    /// Whether the limit of records applies.
    pub(super) limits_records: bool,
    /// Records below this key are on disk, outside the in-memory limits.
    pub(super) in_memory_from: u64,
    /// Leased records with these keys are dropped for this reason when they are released.
    lost: Vec<(Range<u64>, Reason)>,
    pub(super) next_key: u64,
    /// The key of the record with the number zero.
    pub(super) base: u64,
    pub(super) sweep: Sweep,
}

/// The last sweep over all entries, which looks for expired records.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    at: Option<Instant>,
    /// The key of the oldest entry that the sweep left.
    pub(super) oldest: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Phase {
    #[default]
    Open,
    /// The producer is gone, or the target was removed: new records are refused for this reason. Pending records are
    /// still delivered.
    Closed(Reason),
    /// No record is leased any more; pending records stay pending.
    Frozen,
    /// No record is leased any more; a leased record that is released is dropped for this reason.
    Abandoned(Reason),
}

#[derive(Debug)]
pub(super) struct InFlightRecord {
    /// When the record was received, in steady time.
    pub(super) born: SystemTime,
    bytes: u64,
    /// The record does not count against the limits; see [`QueueEntry::evicted`].
    evicted: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Usage {
    records: usize,
    bytes: u64,
}

impl Usage {
    fn sub(&mut self, bytes: u64) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn fits(self, limits: &Limits, bytes: u64) -> bool {
        self.records < limits.records && self.bytes.saturating_add(bytes) <= limits.bytes
    }

    /// Whether the records or the bytes are at least those of `other`.
    fn reaches(&self, other: &Self) -> bool {
        self.records >= other.records || self.bytes >= other.bytes
    }

    /// `limits` with at least as many records as are in memory, so that dropping one record makes room for another.
    /// More records than `limits` allow may be in memory, because the limit of records may not have applied before.
    fn limits_for_one_more(self, limits: &Limits) -> Limits {
        Limits {
            records: limits.records.max(self.records),
            ..*limits
        }
    }
}

impl<R> State<R> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pressed_from: None,
            phase: Phase::default(),
            queued: EntryIndex::default(),
            leased: BTreeMap::new(),
            leased_bytes: 0,
            unaccounted: 0,
            in_memory: Usage::default(),
            limits_records: true,
            in_memory_from: 0,
            lost: Vec::new(),
            next_key: 0,
            base: 0,
            sweep: Sweep::default(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        if self.pressed_from.is_some() {
            self.watch_pressure();
        }
    }

    /// Notes from now on when the queue becomes pressed: when three quarters of a limit are reached.
    pub(super) fn watch_pressure(&mut self) {
        let Limits { records, bytes, .. } = self.limits;
        self.pressed_from = Some(Usage {
            records: (records - records / 4).max(1),
            bytes: (bytes - bytes / 4).max(1),
        });
    }

    /// Whether the queue is pressed. `false` before [`State::watch_pressure`].
    pub(super) fn is_pressed(&self) -> bool {
        let pressed = self.pressed_from.as_ref();
        pressed.is_some_and(|from| self.in_memory.reaches(from))
    }

    /// Whether a sweep is due: the last one began at least `pause` ago. If so, a sweep counts as begun now.
    pub(super) fn is_sweep_due(&mut self, pause: Duration) -> bool {
        let now = Instant::now();
        let is_due = self.sweep.at.is_none_or(|at| at + pause <= now);
        if is_due {
            self.sweep.at = Some(now);
        }
        is_due
    }
}

impl<R: QueuedRecord> State<R> {
    /// Queues a record under this key or the next one, whichever is higher. Returns whether this makes the queue
    /// pressed, which it was not before.
    pub(super) fn insert_new(&mut self, key: u64, record: R, born: SystemTime) -> bool {
        let key = key.max(self.next_key);
        self.next_key = key + 1;
        let before = self.in_memory;
        if key >= self.in_memory_from {
            self.in_memory.records += 1;
            self.in_memory.bytes += record.len();
        }
        self.queued.insert(key, QueueEntry::new(record, born));
        let pressed = self.pressed_from.as_ref();
        pressed.is_some_and(|from| self.in_memory.reaches(from) && !before.reaches(from))
    }

    /// Whether the leased records alone reach the limit of bytes. Records on disk do not count against the limits,
    /// but while they are leased they are in memory, which a target that hangs must not fill.
    pub(super) fn is_lease_limit_reached(&self) -> bool {
        !self.leased.is_empty() && self.leased_bytes >= self.limits.bytes
    }

    pub(super) fn take(&mut self, filters: &[LeaseFilter], from: u64) -> Option<LeasedEntry<R>> {
        let leased = self.queued.take(filters, from, Instant::now())?;
        Some(self.note_lease(leased))
    }

    /// Counts an entry that was taken out as leased.
    pub(super) fn note_lease(&mut self, leased: LeasedEntry<R>) -> LeasedEntry<R> {
        let record = leased.record();
        let in_flight = InFlightRecord {
            born: leased.born(),
            bytes: record.len(),
            evicted: leased.is_evicted(),
        };
        self.leased_bytes += in_flight.bytes;
        self.leased.insert(leased.key, in_flight);
        leased
    }

    /// Ends the lease of a record that is not pending any more.
    pub(super) fn end_lease(&mut self, key: u64) {
        if let Some(leased) = self.remove_lease(key)
            && !leased.evicted
        {
            self.uncount(key, leased.bytes);
        }
    }

    /// Ends the lease of a record that may be pending again.
    pub(super) fn remove_lease(&mut self, key: u64) -> Option<InFlightRecord> {
        let leased = self.leased.remove(&key)?;
        self.leased_bytes -= leased.bytes;
        Some(leased)
    }

    /// Takes a record off the limits.
    fn uncount(&mut self, key: u64, bytes: u64) {
        if key >= self.in_memory_from {
            self.in_memory.sub(bytes);
        }
    }

    /// Why a leased record that is released must be dropped; `None`: it goes back into the queue.
    pub(super) fn lost_on_return(&self, key: u64) -> Option<Reason> {
        if let Phase::Abandoned(reason) = self.phase {
            return Some(reason);
        }
        let mut lost = self.lost.iter();
        let lost = lost.find(|(keys, _)| keys.contains(&key));
        lost.map(|(_, reason)| *reason)
    }

    /// Drops leased records with these keys, for `reason`, when they are released.
    pub(super) fn lose_on_return(&mut self, keys: Range<u64>, reason: Reason) {
        let leased = &self.leased;
        let is_leased = |(lost, _): &(Range<u64>, _)| leased.range(lost.clone()).next().is_some();
        // A range that is lost again and again, while a record of it is leased, is kept once.
        self.lost.retain(|it| it.0 != keys && is_leased(it));
        self.lost.push((keys, reason));
    }

    /// Queues a record of an earlier process as backlog, under its own key, which is below all keys of this process.
    pub(super) fn insert_recovered(&mut self, key: u64, record: R, born: SystemTime) {
        let next = key.saturating_add(1);
        self.in_memory_from = self.in_memory_from.max(next);
        self.next_key = self.next_key.max(next);
        self.queued.insert(key, QueueEntry::new(record, born));
        self.queued.fall_behind(next);
    }

    /// Queues a lethal record of an earlier process, to be leased and dropped. It does not count against the limits,
    /// because it is on disk.
    pub(super) fn insert_lethal(&mut self, number: u64, record: R, born: SystemTime, ended: u32) {
        self.insert_recovered(number, record, born);
        if let Some(mut entry) = self.queued.remove(number) {
            entry.evicted = true;
            entry.history.ended_processes = ended;
            self.queued.insert(number, entry);
        }
    }

    /// Takes out a queued record. The caller must count its end in the ledger.
    pub(super) fn take_out(&mut self, key: u64) -> Option<QueueEntry<R>> {
        let entry = self.queued.remove(key)?;
        if !entry.evicted {
            self.uncount(key, entry.record.len());
        }
        Some(entry)
    }

    /// Takes a queued record off the limits, to be leased and dropped.
    fn evict(&mut self, key: u64) {
        if let Some(mut entry) = self.take_out(key) {
            entry.evicted = true;
            self.queued.insert(key, entry);
        }
    }

    /// Takes the records below `key` off the limits, because they are on disk.
    pub(super) fn moved_to_disk(&mut self, key: u64) {
        if key <= self.in_memory_from {
            return;
        }
        let moved = self.in_memory_from..key;
        for (_, record) in self.queued.counted(moved.clone()) {
            self.in_memory.sub(record.len());
        }
        let leased = self.leased.range(moved);
        for (_, leased) in leased.filter(|(_, leased)| !leased.evicted) {
            self.in_memory.sub(leased.bytes);
        }
        self.in_memory_from = key;
    }

    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.in_memory.fits(&self.applied_limits(), bytes)
    }

    /// Bytes of the records that are in memory, queued or leased.
    pub(super) fn bytes_in_memory(&self) -> u64 {
        self.in_memory.bytes
    }

    /// The oldest record that is in memory and not leased, with its key.
    pub(super) fn first_in_memory(&self) -> Option<(u64, &R)> {
        self.queued.records(self.in_memory_from..u64::MAX).next()
    }

    /// The limits that apply now.
    fn applied_limits(&self) -> Limits {
        let records = match self.limits_records {
            true => self.limits.records,
            false => usize::MAX,
        };
        Limits {
            records,
            ..self.limits
        }
    }

    /// Makes room for a record of `bytes`. First evicts the records that failed most often while the target accepted
    /// others ([`EntryIndex::culprits`]). Then, with [`WhenFull::DropOldest`], takes out the oldest queued records and
    /// returns them for the caller to drop. `None`: this is not enough, and no record is evicted or taken out.
    pub(super) fn make_room(&mut self, bytes: u64) -> Option<Vec<QueueEntry<R>>> {
        let limits = &self.applied_limits();
        if self.in_memory.fits(limits, bytes) {
            return Some(Vec::new());
        }
        let limits = &self.in_memory.limits_for_one_more(limits);
        let (mut usage, mut culprits, mut oldest) = (self.in_memory, Vec::new(), Vec::new());
        let in_memory = |(key, _): &(u64, &R)| *key >= self.in_memory_from;
        for (key, record) in self.queued.culprits().filter(in_memory) {
            if usage.fits(limits, bytes) {
                break;
            }
            usage.sub(record.len());
            culprits.push(key);
        }
        if limits.when_full == WhenFull::DropOldest {
            for (key, record) in self.queued.counted(self.in_memory_from..u64::MAX) {
                if usage.fits(limits, bytes) {
                    break;
                }
                if !culprits.contains(&key) {
                    usage.sub(record.len());
                    oldest.push(key);
                }
            }
        }
        if !usage.fits(limits, bytes) {
            return None;
        }
        for key in culprits {
            self.evict(key);
        }
        let oldest = oldest.into_iter();
        Some(oldest.filter_map(|key| self.take_out(key)).collect())
    }

    pub(super) fn is_finished(&self) -> bool {
        !matches!(self.phase, Phase::Open)
            && self.queued.len() + self.leased.len() + self.unaccounted == 0
    }
}
