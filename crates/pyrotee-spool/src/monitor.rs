//! Gauges and counters of an open spool.

use std::sync::Arc;

use pyrotee_queue::{Reason, lock};
use pyrotee_segments::inspect::{Membership, Survey, TargetSurvey};

use crate::lifecycle::Opening;
use crate::removed::RemovedTarget;
use crate::settings::CLAIM_BYTES;
use crate::shared::Shared;

/// Whether records reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The spool is not open yet: records stay in memory, under the limits of their targets.
    Waiting,
    /// Records are written to disk.
    Disk,
    /// The disk fails: records stay in memory, under the limits of their targets.
    MemoryOnly,
    /// Records are written to disk, and some segments cannot be read: their records wait.
    ReadErrors,
}

impl Mode {
    /// What to do about the disk; the log, the status page and the runbook have this sentence.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Waiting => {
                "let the relay read and write spool.dir, and let no other relay use it"
            }
            Self::Disk => "do nothing",
            Self::MemoryOnly => "make room on the disk of spool.dir, or make it writable again",
            Self::ReadErrors => Reason::DiskError.remedy(),
        }
    }
}

/// Gauges and counters of a spool at one instant. Counters count since the start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Whether records reach the disk.
    pub mode: Mode,
    /// Whether at most one record is in flight at a time, because processes ended soon after their start.
    pub careful: bool,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Most bytes of all segments.
    pub max_bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// Approximate bytes of memory of the index of records on disk.
    pub index_bytes: u64,
    /// Free bytes of the file system when the last segment was begun.
    pub free_bytes: u64,
    /// Records that are not written yet, or with `fsync: always` not synced yet.
    pub unwritten: u64,
    /// Bytes written, heads and cursors included.
    pub written_bytes: u64,
    /// Bytes of bodies written.
    pub written_body_bytes: u64,
    /// Bytes read back for deliveries.
    pub read_bytes: u64,
    /// Number of times that the disk failed.
    pub troubles: u64,
    /// Records lost to damage, counted once per target.
    pub corrupt_records: u64,
    /// Damaged ranges of bytes that were found at the start.
    pub corrupt_stretches: u64,
    /// Segments that the disk does not return.
    pub unreadable_segments: u64,
    /// Number of quarantined segments.
    pub quarantined: u64,
    /// Bytes of all quarantined segments.
    pub quarantined_bytes: u64,
    /// Records that were found pending at the start, counted once per target.
    pub recovered: u64,
    /// Recovered records that were in flight when the cursors were last saved, counted once per target.
    pub redelivered: u64,
    /// Segments that were evicted because the spool was full.
    pub evicted_segments: u64,
    /// Removed targets that have pending records, those that are being drained included.
    pub removed_targets: u64,
}

/// Reads the gauges and counters of a spool. It does not keep the spool open.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) max_bytes: u64,
}

impl Monitor {
    /// Whether the spool is open, and why not.
    pub fn opening(&self) -> Opening {
        self.shared.lifecycle.opening()
    }

    /// Blocks until the spool is open.
    ///
    /// # Errors
    /// The spool could not be opened, and tries again. The text says why, and what to do.
    pub fn wait_until_open(&self) -> Result<(), String> {
        self.shared.lifecycle.wait_until_open()
    }

    /// Whether records reach the disk.
    pub fn mode(&self) -> Mode {
        if !self.shared.lifecycle.is_open() {
            return Mode::Waiting;
        }
        match self.shared.counters.memory_only.get() {
            0 if self.unreadable_segments() > 0 => Mode::ReadErrors,
            0 => Mode::Disk,
            _ => Mode::MemoryOnly,
        }
    }

    /// Segments that the disk does not return.
    fn unreadable_segments(&self) -> u64 {
        let paused = self.shared.read_trouble.segments().len() as u64;
        self.shared.counters.unread_segments.get() + paused
    }

    /// How much is pending for each target, the removed targets last. Records that are not written yet are included.
    pub fn survey(&self) -> Survey {
        let stats = self.stats();
        let in_force = self.shared.names_in_force().into_iter();
        let queues = in_force.filter_map(|(index, name)| Some((name, self.shared.queue(index)?)));
        let configured = queues.map(|(name, queue)| TargetSurvey {
            name,
            membership: Membership::Configured,
            pending: queue.queue.ledger().snapshot().pending,
            oldest: queue.queue.oldest(),
            in_flight: queue.queue.in_flight().len() as u64,
        });
        let removed = self.removed().into_iter();
        let removed = removed.filter(RemovedTarget::has_records);
        let removed = removed.map(|it| TargetSurvey {
            name: it.name,
            membership: Membership::Removed,
            pending: it.counts.pending,
            oldest: it.oldest,
            in_flight: it.in_flight,
        });
        Survey {
            in_use: true,
            clean: false,
            segments: stats.segments,
            bytes: stats.bytes,
            quarantined: stats.quarantined,
            quarantined_bytes: stats.quarantined_bytes,
            foreign: Vec::new(),
            damages: stats.corrupt_stretches,
            targets: configured.chain(removed).collect(),
        }
    }

    /// The targets that a reload has removed, and those that had records when this process started. A target that
    /// returns is not in the list any more.
    pub fn removed(&self) -> Vec<RemovedTarget> {
        let removed = self.shared.removed_targets().into_iter();
        removed.map(|(_, target)| target).collect()
    }

    /// The gauges and counters at this instant.
    pub fn stats(&self) -> Stats {
        let unwritten = lock(&self.shared.intake).writes.len() as u64;
        let unwritten = unwritten + self.shared.counters.uncommitted.get();
        let (bytes, segments, claims) = self.shared.tracker.with(|tracker| {
            let segments = &tracker.segments;
            (segments.bytes(), segments.len() as u64, segments.pending())
        });
        let removed = self.removed().into_iter();
        let removed_targets = removed.filter(RemovedTarget::has_records).count() as u64;
        let counters = &self.shared.counters;
        Stats {
            mode: self.mode(),
            careful: self.shared.lives.is_careful(),
            bytes,
            max_bytes: self.max_bytes,
            segments,
            index_bytes: claims * CLAIM_BYTES,
            free_bytes: counters.free.get(),
            unwritten,
            written_bytes: counters.written.get(),
            written_body_bytes: counters.body.get(),
            read_bytes: counters.read.get(),
            troubles: counters.troubles.get(),
            corrupt_records: counters.corrupt_records.get(),
            corrupt_stretches: counters.corrupt_stretches.get(),
            unreadable_segments: self.unreadable_segments(),
            quarantined: counters.quarantined.get(),
            quarantined_bytes: counters.quarantined_bytes.get(),
            recovered: counters.recovered.get(),
            redelivered: counters.redelivered.get(),
            evicted_segments: counters.evicted_segments.get(),
            removed_targets,
        }
    }
}
