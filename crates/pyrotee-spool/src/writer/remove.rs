//! Unlinks, quarantines and cuts segments.

use std::error::Error;
use std::io;

use pyrotee_segments::{quarantined_name, quarantined_segment_of, segment_name};
use tokio::time::Instant;
use tracing::warn;

use super::Writer;

/// Most attempts to cut a segment.
const MOST_CUTS: u32 = 4;

impl Writer {
    /// The segments that have no pending records, and whether each is damaged.
    pub(super) fn removable_segments(&mut self) -> Vec<(u64, bool)> {
        let now = Instant::now();
        self.not_removed.retain(|_, again_at| *again_at > now);
        let mut done = self.shared.tracker.with(|tracker| tracker.segments.done());
        done.retain(|(first, _)| !self.not_removed.contains_key(first));
        done
    }

    /// Removes the segments that have no pending records before anything else is written: these segments may be what
    /// fills the disk.
    pub(super) fn remove_segments_first(&mut self) -> io::Result<()> {
        let removable = self.removable_segments();
        if removable.is_empty() {
            return Ok(());
        }
        match self.save_durably(false) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.remove_segments(&removable);
                Ok(())
            }
            saved => saved,
        }
    }

    /// Removes segments. If a file cannot be removed, writing goes on, and the removal is tried again later.
    pub(super) fn remove_segments(&mut self, segments: &[(u64, bool)]) {
        for (first, damaged) in segments {
            if let Err(error) = self.remove(*first, *damaged) {
                let again_at = Instant::now() + self.settings.retry_after;
                self.not_removed.insert(*first, again_at);
                self.note_mending_failure(&segment_name(*first), &error);
            }
        }
    }

    /// Counts and logs that a file could not be removed or cut.
    pub(super) fn note_mending_failure(&self, file: &str, error: &io::Error) {
        self.shared.counters.troubles.add(1);
        if let Some(failures) = self.shared.read_trouble.note_failure() {
            let error = error as &dyn Error;
            warn!(
                file,
                failures, error, "file of the spool cannot be removed or cut"
            );
        }
    }

    /// Unlinks a segment, or quarantines it if it is damaged and fits into the quarantine.
    pub(super) fn remove(&mut self, first: u64, damaged: bool) -> io::Result<()> {
        let name = segment_name(first);
        let bytes = self.shared.tracker.with(|tracker| {
            let segment = tracker.segments.get(first);
            segment.map_or(0, |segment| segment.bytes)
        });
        let quarantines = damaged && bytes <= self.settings.quarantine();
        if quarantines {
            self.trim_quarantine(bytes)?;
        }
        let removed = if quarantines {
            self.storage.rename(&name, &quarantined_name(first))
        } else {
            self.storage.remove(&name)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.torn.retain(|torn| torn.first != first);
        self.shared.read_trouble.forget(first);
        let tracker = &self.shared.tracker;
        let segment = tracker.with(|tracker| tracker.segments.remove(first));
        match segment {
            Some(segment) if quarantines => {
                self.shared.counters.quarantined.add(1);
                self.shared.counters.quarantined_bytes.add(segment.bytes);
                warn!(segment = name, "damaged segment of the spool is set aside");
            }
            Some(segment) if damaged => {
                let bytes = segment.bytes;
                warn!(
                    segment = name,
                    bytes, "damaged segment of the spool is too long to be set aside, and deleted"
                );
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Deletes the oldest quarantined segments until `bytes` more fit into the quarantine.
    pub(super) fn trim_quarantine(&self, bytes: u64) -> io::Result<()> {
        let counters = &self.shared.counters;
        let is_over = || counters.quarantined_bytes.get() + bytes > self.settings.quarantine();
        if !is_over() {
            return Ok(());
        }
        let files = self.storage.list()?.into_iter();
        let quarantined = files.filter_map(|(file, len)| {
            let first = quarantined_segment_of(&file)?;
            Some((first, file, len))
        });
        let mut quarantined: Vec<_> = quarantined.collect();
        quarantined.sort();
        for (_, file, len) in quarantined {
            if !is_over() {
                break;
            }
            self.storage.remove(&file)?;
            counters.quarantined.sub(1);
            counters.quarantined_bytes.sub(len);
            warn!(
                file,
                "quarantine of the spool is full, its oldest segment is deleted"
            );
        }
        Ok(())
    }

    /// Cuts off the bytes that failed writes left at the ends of segments. If a segment cannot be cut, the cut is tried
    /// again three times; after that, the next start finds the end of the segment damaged.
    pub(super) fn truncate_torn_segments(&mut self) {
        let mut left = Vec::new();
        for mut torn in std::mem::take(&mut self.torn) {
            if let Err(error) = torn.truncate() {
                self.note_mending_failure(&segment_name(torn.first), &error);
                torn.cuts += 1;
                if torn.cuts < MOST_CUTS {
                    left.push(torn);
                }
            }
        }
        self.torn = left;
    }
}
