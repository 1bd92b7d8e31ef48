//! The recordings whose bodies have not arrived yet, and how long they may wait for their clients.
//!
//! A recording holds memory, so it must advance: by [`STEP_BYTES`], or to its end, within [`STEP_TIMEOUT`]. Only time
//! in which the relay waits for the client counts, not time in which the upstream does not read. A recording that is
//! too slow is dropped as `upload_failed`, and its memory is free at once; the stream goes on. When memory for
//! recordings is short, those that have not advanced for [`MAKES_ROOM_AFTER`] make room for others, the slowest first.
//!
//! A recording that never waits for its client is not entered here. An entered recording costs a lock for each frame
//! and two for its beginning and end; no recording has a timer of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use pyrotee_queue::{Head, PayloadBuffer, Reservation, lock};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Bytes by which a recording must advance within [`STEP_TIMEOUT`], unless it reaches its end.
pub(super) const STEP_BYTES: u64 = 32 * 1024;

/// Time for a step of [`STEP_BYTES`], or to the end: some 1.6 KiB a second. A short body or a pause may take all of
/// this time.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// Time after which a recording without a full step makes room for others when memory is short: 32 KiB a second.
pub(super) const MAKES_ROOM_AFTER: Duration = Duration::from_secs(1);

/// Interval of the search for recordings that are too slow.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Pause after a search for room that found no slow recording: under load there may be none.
const SEARCH_PAUSE: Duration = Duration::from_millis(100);

/// Head, body so far and reserved memory of a recording.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) head: Head,
    pub(super) buffer: PayloadBuffer,
    pub(super) reservation: Reservation,
}

impl Recorded {
    /// Adds a frame. `false`: the budget has no room, and nothing was added.
    pub(super) fn push(&mut self, frame: &Bytes) -> bool {
        let fits = self.reservation.grow(frame.len() as u64);
        if fits {
            self.buffer.push(frame);
        }
        fits
    }
}

/// The recordings that wait for their clients, or have waited.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    list: Mutex<List>,
    /// Notified when the list is no longer empty.
    entered: Notify,
}

#[derive(Debug, Default)]
struct List {
    entries: BTreeMap<u64, Arc<Mutex<Entry>>>,
    next: u64,
    /// No search for room before this time; `None`: search at once.
    search_from: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    /// `None` once the recording has ended or was lost.
    recorded: Option<Recorded>,
    /// Bytes since the last step.
    advanced: u64,
    /// Time spent waiting for the client since the last step, without the current wait.
    waited: Duration,
    /// Start of the current wait for the client; `None` while the client is not waited for.
    waiting_since: Option<Instant>,
}

/// A recording in the list.
#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    entry: Arc<Mutex<Entry>>,
}

/// Whether a frame was added to its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Added,
    /// The budget has no room for the frame.
    NoRoom,
    /// The recording was lost before.
    Lost,
}

impl Recordings {
    /// Enters a recording that waits for its client from now on.
    pub(super) fn enter(&self, recorded: Recorded) -> Waiting {
        let entry = Arc::new(Mutex::new(Entry {
            recorded: Some(recorded),
            advanced: 0,
            waited: Duration::ZERO,
            waiting_since: Some(Instant::now()),
        }));
        let mut list = lock(&self.list);
        let number = list.next;
        list.next += 1;
        let was_empty = list.entries.is_empty();
        list.entries.insert(number, Arc::clone(&entry));
        drop(list);
        if was_empty {
            self.entered.notify_one();
        }
        Waiting { number, entry }
    }

    /// Removes a recording, and returns its contents; `None` if it was lost.
    pub(super) fn leave(&self, waiting: &Waiting) -> Option<Recorded> {
        lock(&self.list).entries.remove(&waiting.number);
        lock(&waiting.entry).recorded.take()
    }

    /// Waits until recordings are too slow, and returns them.
    pub(super) async fn too_slow(&self) -> Vec<Recorded> {
        loop {
            if lock(&self.list).entries.is_empty() {
                // A notification that was stored for an earlier entry only causes one more check.
                self.entered.notified().await;
            }
            sleep(SWEEP_INTERVAL).await;
            let slow = self.take_too_slow();
            if !slow.is_empty() {
                return slow;
            }
        }
    }

    /// Number of recordings in the list.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.list).entries.len()
    }

    fn take_too_slow(&self) -> Vec<Recorded> {
        let now = Instant::now();
        let list = lock(&self.list);
        let take = |entry: &Arc<Mutex<Entry>>| {
            let mut entry = lock(entry);
            (entry.step_age(now) >= STEP_TIMEOUT)
                .then(|| entry.recorded.take())
                .flatten()
        };
        list.entries.values().filter_map(take).collect()
    }

    /// Takes the slowest recording, so that its memory is free for another one; `None` if no recording is slow.
    pub(super) fn take_slowest(&self) -> Option<Recorded> {
        let now = Instant::now();
        let mut list = lock(&self.list);
        if list.search_from.is_some_and(|from| now < from) {
            return None;
        }
        let ages = list.entries.values().filter_map(|entry| {
            let locked = lock(entry);
            let age = locked.recorded.as_ref().map(|_| locked.step_age(now))?;
            Some((age, entry))
        });
        let slowest = ages.max_by_key(|(age, _)| *age);
        let slowest = slowest.filter(|(age, _)| *age >= MAKES_ROOM_AFTER);
        let recorded = slowest.and_then(|(_, entry)| lock(entry).recorded.take());
        list.search_from = recorded.is_none().then(|| now + SEARCH_PAUSE);
        recorded
    }
}

impl Waiting {
    /// Notes that the recording waits for its client.
    pub(super) fn wait(&self) {
        let mut entry = lock(&self.entry);
        entry.waiting_since.get_or_insert_with(Instant::now);
    }

    /// Adds a frame.
    pub(super) fn push(&self, frame: &Bytes) -> Pushed {
        let mut entry = lock(&self.entry);
        let Some(recorded) = &mut entry.recorded else {
            return Pushed::Lost;
        };
        if !recorded.push(frame) {
            return Pushed::NoRoom;
        }
        entry.advance(frame.len() as u64);
        Pushed::Added
    }
}

impl Entry {
    fn advance(&mut self, bytes: u64) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.advanced += bytes;
        if self.advanced >= STEP_BYTES {
            (self.advanced, self.waited) = (0, Duration::ZERO);
        }
    }

    /// Time spent waiting for the client since the last step.
    fn step_age(&self, now: Instant) -> Duration {
        let waits = self
            .waiting_since
            .map(|since| now.saturating_duration_since(since));
        self.waited + waits.unwrap_or_default()
    }
}
