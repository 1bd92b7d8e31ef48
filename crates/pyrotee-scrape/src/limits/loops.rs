//! `max-targets`: the loops that run.

use std::sync::{Arc, Mutex};

use pyrotee_queue::lock;
use tokio::sync::watch;

/// The number of loops of all jobs. A loop that runs goes on; a new one beyond the limit does not start.
#[derive(Debug)]
pub(crate) struct LoopLimit {
    count: Mutex<Count>,
    /// The limit. Changes whenever a loop may have room.
    room: watch::Sender<usize>,
}

#[derive(Debug)]
struct Count {
    max: usize,
    running: usize,
}

/// A loop that counts. Dropping it makes room for another one.
#[derive(Debug)]
pub(crate) struct LoopPermit(Arc<LoopLimit>);

impl LoopLimit {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            count: Mutex::new(Count { max, running: 0 }),
            room: watch::Sender::new(max),
        })
    }

    /// Changes the limit. Loops that run go on.
    pub(crate) fn set_max(&self, max: usize) {
        lock(&self.count).max = max;
        self.room.send_replace(max);
    }

    /// `None`: the limit is reached.
    pub(crate) fn permit(self: &Arc<Self>) -> Option<LoopPermit> {
        let mut count = lock(&self.count);
        let has_room = count.running < count.max;
        count.running += usize::from(has_room);
        has_room.then(|| LoopPermit(Arc::clone(self)))
    }

    /// The limit, and tells when a loop may have room.
    pub(crate) fn room(&self) -> watch::Receiver<usize> {
        self.room.subscribe()
    }
}

impl Drop for LoopPermit {
    fn drop(&mut self) {
        lock(&self.0.count).running -= 1;
        self.0.room.send_modify(|_| ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_ends_makes_room_and_says_so() {
        let limit = LoopLimit::new(1);
        let mut room = limit.room();
        let first = limit.permit().unwrap();
        assert!(limit.permit().is_none());
        assert!(!room.has_changed().unwrap());
        drop(first);
        assert!(room.has_changed().unwrap());
        room.mark_unchanged();
        let _second = limit.permit().unwrap();
        limit.set_max(2);
        assert!(room.has_changed().unwrap());
        let third = limit.permit();
        assert!(third.is_some() && limit.permit().is_none());
    }
}
