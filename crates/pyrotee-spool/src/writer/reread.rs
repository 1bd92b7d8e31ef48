//! Rereads segments that could not be read at the start.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::Reason;
use pyrotee_segments::{OnDemand, SegmentFile, segment_name};
use tokio::time::Instant;
use tracing::warn;

use super::Writer;
use crate::read_trouble::pause;
use crate::recovery::{ReadSegment, adopt_late};
use crate::segments::UnreadSegment;

/// When the segments that could not be read are read again.
#[derive(Debug)]
pub(super) struct Reread {
    shortest_pause: Duration,
    at: Instant,
    /// Attempts in a row in which no segment could be read.
    failures: u32,
}

impl Reread {
    pub(super) fn new(shortest_pause: Duration) -> Self {
        Self {
            shortest_pause,
            at: Instant::now() + shortest_pause,
            failures: 0,
        }
    }
}

impl Writer {
    /// When segments are read again. `None`: all segments could be read.
    pub(super) fn reread_at(&self) -> Option<Instant> {
        let unread = self.shared.counters.unread_segments.get();
        (unread > 0).then_some(self.reread.at)
    }

    /// Reads the segments that could not be read before, if an attempt is due, and adopts the records of the segments
    /// that can be read now.
    pub(super) fn reread_segments(&mut self) {
        if self.reread_at().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let unread = self.shared.tracker.with(|tracker| {
            let unread = tracker.segments.unread();
            let unread = unread.map(|(_, unread)| unread.clone());
            unread.collect::<Vec<_>>()
        });
        let mut has_read = false;
        for segment in unread {
            match self.reread(&segment) {
                Ok(()) => has_read = true,
                // The spool was closed while the segment was read.
                Err(_) if self.shared.lifecycle.is_stopping() => return,
                Err(error) => self.note_failure(&segment, &error),
            }
        }
        self.reread.failures = if has_read {
            0
        } else {
            self.reread.failures + 1
        };
        let pause = pause(self.reread.shortest_pause, self.reread.failures);
        self.reread.at = Instant::now() + pause;
        self.shared.count_unread();
    }

    fn reread(&self, unread: &UnreadSegment) -> io::Result<()> {
        let numbers = unread.numbers.clone();
        let first = numbers.start;
        let Some(file) = SegmentFile::find(&*self.storage, numbers.clone())? else {
            let lost = self.shared.lose_unread(first, Reason::Corrupt);
            warn!(segment = first, lost, "segment of the spool is missing");
            return Ok(());
        };
        if let Some(version) = file.newer() {
            let newer = format!("the file has version {version} of the spool format");
            return Err(io::Error::other(newer));
        }
        let may_be_torn = unread.may_be_torn;
        let on_read = self.shared.lifecycle.on_read();
        let scanned = file.scan(&*self.storage, self.salt, may_be_torn, Some(&on_read))?;
        let Some(scanned) = scanned else {
            return Ok(());
        };
        let mut read = ReadSegment::of(scanned, &file, may_be_torn);
        read.cut(&file.name);
        read.count_ages(&self.earlier_steps, self.settings.clock.now());
        if self.shared.tracker.with(|it| it.segments.len()) > self.settings.open_files {
            read.file = Arc::new(OnDemand::new(&self.storage, file.name.clone()));
        }
        adopt_late(&numbers, &read, &self.shared);
        self.shared.tracker.wakeup.notify();
        Ok(())
    }

    fn note_failure(&self, unread: &UnreadSegment, error: &io::Error) {
        self.shared.counters.troubles.add(1);
        let Some(failures) = self.shared.read_trouble.note_failure() else {
            return;
        };
        let file = segment_name(unread.numbers.start);
        let error = error as &dyn Error;
        warn!(
            file,
            failures, error, "segment of the spool cannot be read, its records are held back"
        );
    }
}
