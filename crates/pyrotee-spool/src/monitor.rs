//! What can be seen of a spool.

use std::sync::Arc;

use pyrotee_queue::{Tally, lock};

use crate::book::Orphan;
use crate::inspect::{Standing, Survey, TargetSurvey};
use crate::settings::CLAIM_BYTES;
use crate::shared::Shared;

/// Whether records reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Disk,
    /// The disk is in trouble: they stay in memory, under the limits of their targets.
    MemoryOnly,
}

/// A spool at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Whether records reach the disk.
    pub mode: Mode,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The limit of that.
    pub max_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of memory that the index of what is on disk takes, about.
    pub index_bytes: u64,
    /// What the file system had left when the last segment was begun.
    pub free_bytes: u64,
    /// Records that wait to be written.
    pub unwritten: u64,
    /// Bytes written since the start, everything included.
    pub written_bytes: u64,
    /// Bytes of bodies among them.
    pub written_body_bytes: u64,
    /// Bytes read back for deliveries since the start.
    pub read_bytes: u64,
    /// Times that the disk failed since the start.
    pub troubles: u64,
    /// Records lost to damage since the start, once for each target.
    pub corrupt_records: u64,
    /// Damaged stretches that the start has found.
    pub corrupt_stretches: u64,
    /// Damaged segments that were set aside and still lie there.
    pub quarantined: u64,
    /// Their bytes.
    pub quarantined_bytes: u64,
    /// Records that the start has found pending, once for each target.
    pub recovered: u64,
    /// Those among them that were being delivered when the cursors were last saved.
    pub redelivered: u64,
    /// Segments that went because the spool was full.
    pub evicted_segments: u64,
    /// Targets that left the configuration and have records here.
    pub orphans: u64,
    /// Records of such targets that were lost since the start.
    pub orphans_dropped: u64,
}

/// A handle for gauges and counters. It keeps nothing alive that works.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) max_bytes: u64,
}

impl Monitor {
    /// Whether records reach the disk.
    pub fn mode(&self) -> Mode {
        match self.shared.counters.memory_only.get() {
            0 => Mode::Disk,
            _ => Mode::MemoryOnly,
        }
    }

    /// What waits for each target, the removed ones last; what is not written yet included.
    pub fn survey(&self) -> Survey {
        let stats = self.stats();
        let (names, orphans) = self.shared.book.with(|book| {
            let names = book.cursors.iter().map(|cursor| cursor.name.clone());
            let names: Vec<_> = names.collect();
            let orphans: Vec<_> = book.orphans().map(of_orphan).collect();
            (names, orphans)
        });
        let configured = names.into_iter().zip(&self.shared.queues);
        let configured = configured.map(|(name, queue)| TargetSurvey {
            name,
            standing: Standing::Configured,
            pending: queue.ledger().snapshot().pending,
            oldest: queue.oldest(),
            in_flight: queue.in_flight().len() as u64,
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
            targets: configured.chain(orphans).collect(),
        }
    }

    /// The spool at this instant.
    pub fn stats(&self) -> Stats {
        let unwritten = lock(&self.shared.intake).jobs.len() as u64;
        let (bytes, segments, orphans, claims) = self.shared.book.with(|book| {
            let (segments, orphans) = (book.segments.len(), book.orphans().count());
            (
                book.segments.bytes(),
                segments as u64,
                orphans as u64,
                book.segments.pending(),
            )
        });
        let counters = &self.shared.counters;
        Stats {
            mode: self.mode(),
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
            quarantined: counters.quarantined.get(),
            quarantined_bytes: counters.quarantined_bytes.get(),
            recovered: counters.recovered.get(),
            redelivered: counters.redelivered.get(),
            evicted_segments: counters.evicted_segments.get(),
            orphans,
            orphans_dropped: counters.orphans_dropped.get(),
        }
    }
}

fn of_orphan(orphan: &Orphan) -> TargetSurvey {
    let mut pending = Tally::default();
    for share in orphan.pending.values() {
        pending.profiles += share.tally.profiles;
        pending.bytes += share.tally.bytes;
    }
    TargetSurvey {
        name: orphan.saved.name.clone(),
        standing: Standing::Removed,
        pending,
        oldest: orphan.pending.values().filter_map(|it| it.oldest).min(),
        in_flight: 0,
    }
}
