//! Makes room: evicts segments, and keeps the limits of bytes, of the index and of free space.

use std::io;
use std::time::Duration;

use pyrotee_queue::Reason;
use tokio::time::Instant;
use tracing::warn;

use super::Writer;
use crate::tracker::TrackerState;

/// Time between two log lines about evictions.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Evictions since the last log line.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    last_line: Option<Instant>,
    segments: u64,
    records: u64,
}

impl Evictions {
    /// Notes that a segment was evicted at `limit`, for `reason`, with so many records, counted once per target. Logs
    /// evictions at most once in ten seconds.
    fn note(&mut self, limit: &str, reason: Reason, records: u64) {
        self.segments += 1;
        self.records += records;
        let now = Instant::now();
        if self
            .last_line
            .is_some_and(|line| line + BETWEEN_LINES > now)
        {
            return;
        }
        let (segments, records) = (self.segments, self.records);
        let reason = reason.as_str();
        warn!(
            segments,
            records, reason, limit, "spool is full: evicted segments and dropped their records"
        );
        *self = Self {
            last_line: Some(now),
            ..Self::default()
        };
    }
}

impl Writer {
    /// Evicts the oldest segments until `bytes` more fit, on disk and in the index.
    pub(super) fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let limit = self.settings.max_bytes;
        let quarantined = self.shared.counters.quarantined_bytes.get();
        let claims = self.settings.claims();
        let is_full = |tracker: &mut TrackerState| {
            let segments = &tracker.segments;
            segments.bytes() + bytes + quarantined > limit || segments.pending() > claims
        };
        while self.shared.tracker.with(is_full) {
            if !self.evict("spool.max-bytes")? {
                break;
            }
        }
        Ok(())
    }

    /// Keeps a reserve of free space on the file system: below it, a new segment replaces the oldest one.
    pub(super) fn keep_reserve(&mut self) -> io::Result<()> {
        let Ok(space) = self.storage.space() else {
            return Ok(());
        };
        self.shared.counters.free.set(space.free);
        let reserve = self.settings.reserve(space.total);
        let needed = reserve.saturating_add(self.settings.segment());
        if space.free < needed && !self.evict("disk")? {
            let error = format!("a file needs {needed} bytes, {} are free", space.free);
            return Err(io::Error::new(io::ErrorKind::StorageFull, error));
        }
        Ok(())
    }

    /// Evicts a segment that cannot be read, or else the oldest one, and drops its pending records. `false`: no segment
    /// can be evicted. The log names `limit` as what is full.
    fn evict(&mut self, limit: &str) -> io::Result<bool> {
        let paused = self.shared.read_trouble.segments();
        let victim = self.shared.tracker.with(|tracker| {
            let segments = &tracker.segments;
            let unread = segments.unread().map(|(first, _)| first);
            let unreadable = unread.chain(paused).find(|first| {
                let segment = segments.get(*first);
                segment.is_some_and(|segment| segment.closed)
            });
            let first = unreadable.or(segments.oldest())?;
            let segment = segments.get(first).filter(|segment| segment.closed)?;
            let reason = match unreadable {
                Some(_) => Reason::DiskError,
                None => Reason::SpoolFull,
            };
            Some((first, segment.damaged, segments.next_after(first), reason))
        });
        let Some((first, damaged, end, reason)) = victim else {
            return Ok(false);
        };
        let queues = self.shared.all_queues();
        let end = end.unwrap_or_else(|| {
            let in_memory_from = queues.iter().map(|it| it.queue.in_memory_from());
            in_memory_from.max().unwrap_or(0)
        });
        let queues = queues.iter();
        let lost = queues.map(|it| it.queue.lose_numbers(first..end, reason).profiles);
        let lost = lost.sum::<u64>() + self.shared.lose_unread(first, reason);
        self.shared.counters.evicted_segments.add(1);
        self.save_durably(false)?;
        self.remove(first, damaged)?;
        self.evictions.note(limit, reason, lost);
        Ok(true)
    }
}
