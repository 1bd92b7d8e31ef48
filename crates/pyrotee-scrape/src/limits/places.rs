//! `max-concurrent`: the loops that work at once.
//!
//! A loop takes a place before its request, and gives the place back while it waits for an application that does not
//! respond promptly. So applications that hang, drip or were asked for `seconds` delay no other loop.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// How long a request may wait for its application in all before it gives its place back at each further wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// The places of all jobs.
#[derive(Debug)]
pub(crate) struct Places(Mutex<(usize, Arc<Semaphore>)>);

/// The place of one request, which it gives back while it waits.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    permit: Option<OwnedSemaphorePermit>,
    patience: Duration,
}

impl Places {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new((max, semaphore(max)))))
    }

    /// Changes the limit. Requests that have a place keep it, beside the new number of places.
    pub(crate) fn set_max(&self, max: usize) {
        let mut places = lock(&self.0);
        if places.0 != max {
            *places = (max, semaphore(max));
        }
    }

    /// Waits for a place.
    pub(crate) async fn take(self: &Arc<Self>) -> Place {
        let mut place = self.without();
        place.permit = self.permit().await;
        place.patience = PATIENCE;
        place
    }

    /// A request that takes a place only once its application has responded.
    pub(crate) fn without(self: &Arc<Self>) -> Place {
        Place {
            places: Arc::clone(self),
            permit: None,
            patience: Duration::ZERO,
        }
    }

    /// `None` never happens, because the semaphore is never closed; a loop without a place would do no harm.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let semaphore = Arc::clone(&lock(&self.0).1);
        semaphore.acquire_owned().await.ok()
    }
}

impl Place {
    /// Awaits something that the application does. The place is given back once the patience is over, and taken again
    /// before this returns.
    pub(crate) async fn wait<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        if self.permit.is_some() {
            let began = Instant::now();
            let prompt = timeout(self.patience, &mut future).await;
            self.patience = self.patience.saturating_sub(began.elapsed());
            if let Ok(value) = prompt {
                return value;
            }
            self.permit = None;
        }
        let value = future.await;
        self.permit = self.places.permit().await;
        value
    }
}

fn semaphore(max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)))
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_for_long_gives_its_place_back() {
        let places = Places::new(1);
        let began = Instant::now();
        let mut hanging = places.take().await;
        let hung = tokio::spawn(async move {
            hanging.wait(sleep(Duration::from_secs(30))).await;
            // No patience is left.
            hanging.wait(sleep(Duration::from_secs(30))).await;
            hanging
        });
        let prompt = places.take().await;
        assert_eq!(began.elapsed(), PATIENCE);
        drop(prompt);
        sleep(Duration::from_secs(31)).await;
        let other = places.take().await;
        sleep(Duration::from_secs(60)).await;
        assert!(!hung.is_finished(), "it waits for its place");
        drop(other);
        let hanging = hung.await.unwrap();
        assert!(hanging.permit.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn another_limit_holds_at_once() {
        let places = Places::new(1);
        let first = places.take().await;
        places.set_max(2);
        let second = places.take().await;
        let third = places.take().await;
        assert!(timeout(PATIENCE, places.take()).await.is_err());
        drop((first, second, third));
    }
}
