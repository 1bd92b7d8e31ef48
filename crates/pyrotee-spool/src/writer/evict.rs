//! Makes room: evicts segments, and keeps the limits of bytes, of the index and of free space.

use std::io;

use pyrotee_queue::Reason;
use tracing::info;

use super::Writer;
use super::tidy::MustSurvive;
use crate::tracker::TrackerState;

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
            if !self.evict()? {
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
        if space.free < needed && !self.evict()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Evicts a segment that cannot be read, or else the oldest one, and drops its pending records. `false`: no segment
    /// can be evicted.
    fn evict(&mut self) -> io::Result<bool> {
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
        let end = end.unwrap_or_else(|| {
            self.shared
                .queues
                .iter()
                .map(|queue| queue.in_memory_from())
                .max()
                .unwrap_or(0)
        });
        for queue in &self.shared.queues {
            queue.lose_numbers(first..end, reason);
        }
        let unread = self.shared.lose_unread(first, reason);
        let lost_of_removed: u64 = self.shared.tracker.with(|tracker| {
            let removed = tracker.removed.iter_mut();
            removed
                .filter_map(|removed| removed.lose_segment(first, end))
                .map(|lost| lost.tally.profiles)
                .sum()
        });
        let lost_of_removed = unread + lost_of_removed;
        self.shared.counters.lost_of_removed.add(lost_of_removed);
        self.shared.counters.evicted_segments.add(1);
        self.save(false, MustSurvive::PowerLoss)?;
        self.remove(first, damaged)?;
        info!(
            segment = first,
            orphaned = lost_of_removed,
            reason = reason.as_str(),
            "spool is full, a segment is lost"
        );
        Ok(true)
    }
}
