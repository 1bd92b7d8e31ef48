//! Segments that the disk does not return while the process runs: computes how long each is not read.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use pyrotee_queue::lock;
use tokio::time::Instant;

/// A pause is at most this multiple of the shortest one.
const LONGEST: u32 = 30;

/// Shortest time between two log lines about failures.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The segments that are paused because a read of them failed.
#[derive(Debug)]
pub(crate) struct ReadTrouble {
    shortest_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    paused: BTreeMap<u64, PausedSegment>,
    /// Number of panics while a record was read, by segment and record number, until the record is read.
    panics: BTreeMap<(u64, u64), u32>,
    last_line: Option<Instant>,
    /// Failures since the last log line.
    silent: u64,
}

/// A segment with reads that failed.
#[derive(Debug)]
struct PausedSegment {
    /// Pauses since the last read that succeeded.
    pauses: u32,
    until: Instant,
    /// Number of pauses that a failed read of each record began, by record number, until the record is read.
    records: BTreeMap<u64, u32>,
}

/// The pauses after a failed read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    /// Until when no record of the segment is read.
    pub(crate) segment_until: Instant,
    /// Until when the record whose read failed is not read.
    pub(crate) record_until: Instant,
    /// Number of failures to be logged now, including earlier ones that were not logged. `None`: the last log line was
    /// too recent.
    pub(crate) to_log: Option<u64>,
}

/// The effects of a successful read of a paused segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// All records of the segment whose reads had failed were read since.
    pub(crate) segment_ends: bool,
    /// The disk works again, so all pauses end at once.
    pub(crate) disk_is_back: bool,
}

impl ReadTrouble {
    pub(crate) fn new(shortest_pause: Duration) -> Self {
        Self {
            shortest_pause,
            state: Mutex::default(),
        }
    }

    /// Notes that the record `number` in `segment` could not be read. The pause of a segment grows once per pause,
    /// however many reads fail in it.
    pub(crate) fn failed(&self, segment: u64, number: u64) -> Pause {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let paused = state.paused.entry(segment);
        let paused = paused.or_insert_with(|| PausedSegment {
            pauses: 0,
            until: now,
            records: BTreeMap::new(),
        });
        let failures = paused.records.entry(number).or_default();
        if paused.until <= now {
            paused.until = now + pause(self.shortest_pause, paused.pauses);
            paused.pauses += 1;
            *failures += 1;
        }
        let pause = Pause {
            segment_until: paused.until,
            record_until: now + 2 * pause(self.shortest_pause, *failures),
            to_log: None,
        };
        let to_log = state.note_failure(now);
        Pause { to_log, ..pause }
    }

    /// Notes that reading the record `number` in `segment` panicked. Returns until when the record is not read. Other
    /// records are read without a pause, because the bug concerns this record.
    pub(crate) fn panicked(&self, segment: u64, number: u64) -> Instant {
        let mut state = lock(&self.state);
        let panics = state.panics.entry((segment, number)).or_default();
        *panics += 1;
        Instant::now() + pause(self.shortest_pause, *panics)
    }

    /// Notes a failure to reread a segment that could not be read at the start, or to remove or cut a file. Returns how
    /// many failures are to be logged now. `None`: the last log line was too recent.
    pub(crate) fn note_failure(&self) -> Option<u64> {
        lock(&self.state).note_failure(Instant::now())
    }

    /// Notes that the record `number` in `segment` was read. `None`: the segment was not paused.
    pub(crate) fn succeeded(&self, segment: u64, number: u64) -> Option<Recovery> {
        let mut state = lock(&self.state);
        state.panics.remove(&(segment, number));
        let paused = state.paused.get_mut(&segment)?;
        let pauses = std::mem::take(&mut paused.pauses);
        paused.records.remove(&number);
        let segment_ends = paused.records.is_empty();
        if segment_ends {
            state.paused.remove(&segment);
        }
        // All reads of the segment failed for more than one pause until now: the disk may be back.
        let disk_is_back = pauses > 1;
        if disk_is_back {
            let now = Instant::now();
            for paused in state.paused.values_mut() {
                paused.until = now;
            }
        }
        Some(Recovery {
            segment_ends,
            disk_is_back,
        })
    }

    /// Forgets a segment that was removed.
    pub(crate) fn forget(&self, segment: u64) {
        let mut state = lock(&self.state);
        state.paused.remove(&segment);
        state.panics.retain(|(of, _), _| *of != segment);
    }

    /// The paused segments, the oldest first.
    pub(crate) fn segments(&self) -> Vec<u64> {
        lock(&self.state).paused.keys().copied().collect()
    }
}

impl State {
    fn note_failure(&mut self, now: Instant) -> Option<u64> {
        self.silent += 1;
        let is_due = self
            .last_line
            .is_none_or(|line| line + BETWEEN_LINES <= now);
        is_due.then(|| {
            self.last_line = Some(now);
            std::mem::take(&mut self.silent)
        })
    }
}

/// The pause after `earlier` pauses: twice as long each time, up to `LONGEST` times `shortest`.
pub(crate) fn pause(shortest: Duration, earlier: u32) -> Duration {
    shortest * 2_u32.saturating_pow(earlier).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end_with_a_read() {
        let trouble = ReadTrouble::new(SECOND);
        let mut pauses = Vec::new();
        for number in 0..7 {
            let pause = trouble.failed(3, number);
            // Other targets ask for the same record in the same pause.
            assert_eq!(trouble.failed(3, number).segment_until, pause.segment_until);
            let length = pause.segment_until - Instant::now();
            pauses.push(length.as_secs());
            tokio::time::advance(length).await;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(trouble.segments(), [3]);
        let before = trouble.failed(4, 100).segment_until;
        for number in 0..7 {
            let recovery = trouble.succeeded(3, number).unwrap();
            assert_eq!(recovery.disk_is_back, number == 0);
            assert_eq!(recovery.segment_ends, number == 6);
        }
        assert_eq!(trouble.segments(), [4]);
        let after = trouble.failed(4, 100).segment_until;
        assert!(after > before, "it was released, and is paused again");
        assert_eq!(trouble.succeeded(5, 200), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_sector_pauses_its_record_longer_than_its_segment() {
        let trouble = ReadTrouble::new(SECOND);
        for round in 0..5 {
            let pause = trouble.failed(0, 7);
            assert!(pause.record_until > pause.segment_until, "{round}");
            tokio::time::advance(pause.segment_until - Instant::now()).await;
            let recovery = trouble.succeeded(0, 8).unwrap();
            assert!(!recovery.segment_ends && !recovery.disk_is_back, "{round}");
            tokio::time::advance(pause.record_until - Instant::now()).await;
        }
        assert_eq!(trouble.segments(), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_line_in_ten_seconds_tells_of_all_failures() {
        let trouble = ReadTrouble::new(SECOND);
        let mut lines = Vec::new();
        for _ in 0..61 {
            lines.extend(trouble.note_failure());
            tokio::time::advance(SECOND / 2).await;
        }
        assert_eq!(lines, [1, 20, 20, 20]);
    }
}
