//! Limits the number of connections, and chooses the connection that makes room for another one.
//!
//! At the limit the longest idle connection is closed. If all connections have a request in progress, the new
//! connection is accepted as an *extra* connection, so that probes and scrapes are answered. At the limit of extra
//! connections the oldest extra connection is closed.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pyrotee_net::server::Deadlines;
use pyrotee_queue::lock;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// The limits of a host's connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once.
    pub(super) connections: usize,
    /// Extra connections at once, beside `connections`.
    pub(super) extra: usize,
    /// From the end of a request's head to the end of the response, unless the response has a `RequestTimeout`.
    pub(super) request: Duration,
    pub(super) deadlines: Deadlines,
}

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    /// The connections in the order in which they were accepted.
    open: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    activity: Arc<Activity>,
    is_extra: bool,
    evicted: CancellationToken,
}

/// The place of one connection, which is free again when the `Place` is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    activity: Arc<Activity>,
    is_extra: bool,
    evicted: CancellationToken,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Mutex::default(),
        }
    }

    /// Finds a place for a connection that was just accepted.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let mut open = self.open();
        let is_extra = !self.make_room(&mut open);
        if is_extra && count(&open, true) >= self.limits.extra {
            let oldest = open.iter().position(|entry| entry.is_extra);
            evict(&mut open, oldest);
        }
        let place = Place {
            connections: Arc::clone(self),
            activity: Arc::new(Activity::new(self.limits.deadlines)),
            is_extra,
            evicted: CancellationToken::new(),
        };
        open.push(Entry {
            activity: Arc::clone(&place.activity),
            is_extra,
            evicted: place.evicted.clone(),
        });
        place
    }

    /// Whether there is room for a connection that is not extra; closes an idle connection if necessary.
    fn make_room(&self, open: &mut Vec<Entry>) -> bool {
        if count(open, false) < self.limits.connections {
            return true;
        }
        let idle = open.iter().enumerate().filter(|(_, entry)| !entry.is_extra);
        let idle = idle.filter_map(|(index, entry)| Some((entry.activity.idle_since()?, index)));
        let longest = idle.min().map(|(_, index)| index);
        evict(open, longest)
    }

    fn open(&self) -> MutexGuard<'_, Vec<Entry>> {
        lock(&self.open)
    }
}

fn count(open: &[Entry], extra: bool) -> usize {
    open.iter().filter(|entry| entry.is_extra == extra).count()
}

/// Closes the connection at `index`; `false` if `index` is `None`.
fn evict(open: &mut Vec<Entry>, index: Option<usize>) -> bool {
    let entry = index.map(|index| open.remove(index));
    entry.is_some_and(|entry| {
        entry.evicted.cancel();
        true
    })
}

impl Place {
    pub(super) fn is_extra(&self) -> bool {
        self.is_extra
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// How long a request of this connection may take.
    pub(super) fn request_timeout(&self) -> Duration {
        self.connections.limits.request
    }

    /// Resolves when the connection has to make room for another.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.retain(|entry| !Arc::ptr_eq(&entry.activity, &self.activity));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::super::LIMITS;
    use super::super::activity::RequestGuard;
    use super::*;

    fn connections() -> Arc<Connections> {
        Arc::new(Connections::new(Limits {
            connections: 3,
            extra: 2,
            ..LIMITS
        }))
    }

    /// Opens `number` connections, one per second.
    async fn enter(connections: &Arc<Connections>, number: usize) -> Vec<Place> {
        let mut places = Vec::new();
        for _ in 0..number {
            places.push(connections.enter());
            advance(Duration::from_secs(1)).await;
        }
        places
    }

    fn busy(place: &Place) -> RequestGuard {
        RequestGuard::begin(place.activity(), Duration::from_secs(60))
    }

    fn evicted(places: &[Place]) -> Vec<bool> {
        places.iter().map(|it| it.evicted.is_cancelled()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_makes_room() {
        let connections = connections();
        let places = enter(&connections, 3).await;
        assert_eq!(evicted(&places), [false; 3]);
        // The first one has just been used.
        drop(busy(&places[0]));
        let fourth = connections.enter();
        assert!(!fourth.is_extra());
        assert_eq!(evicted(&places), [false, true, false]);
        let fifth = connections.enter();
        assert!(!fifth.is_extra());
        assert_eq!(evicted(&places), [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_makes_no_room() {
        let connections = connections();
        let places = enter(&connections, 3).await;
        let _requests: Vec<_> = places[..2].iter().map(busy).collect();
        let fourth = connections.enter();
        assert_eq!(evicted(&places), [false, false, true]);
        let _request = busy(&fourth);
        assert!(connections.enter().is_extra());
        assert_eq!(evicted(&places), [false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_extra_connection_makes_room_for_another_extra_one() {
        let connections = connections();
        let places = enter(&connections, 3).await;
        let mut requests: Vec<_> = places.iter().map(busy).collect();
        let extra = enter(&connections, 4).await;
        assert!(extra.iter().all(Place::is_extra));
        assert_eq!(evicted(&extra), [true, true, false, false]);
        assert_eq!(evicted(&places), [false; 3]);
        requests.pop();
        let next = connections.enter();
        assert!(!next.is_extra(), "one is idle again");
        assert_eq!(evicted(&places), [false, false, true]);
        assert_eq!(connections.open().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_gives_its_place_back() {
        let connections = connections();
        for _ in 0..100 {
            let places = enter(&connections, 3).await;
            assert_eq!(evicted(&places), [false; 3]);
        }
        assert_eq!(connections.open().len(), 0);
    }
}
