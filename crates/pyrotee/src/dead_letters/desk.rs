//! What a running relay does with its dead letters when it is asked to.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use pyrotee_queue::{Budget, Head, PayloadBuffer, Producer, Record, Reservation};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::Monitor;
use super::api::{Done, Order, Page, Shown, Wanted};
use super::store::{Error, Id, Store};
use crate::captured;
use crate::telemetry::Watched;

/// How long one order may take; who gave it asks again for what is left.
const LONGEST_ORDER: Duration = Duration::from_secs(2);

/// Threads that look at files, at once.
const READERS: usize = 2;

/// Shows, replays and purges. The files are looked at on threads that may wait for the disk.
#[derive(Debug)]
pub(crate) struct Desk {
    monitor: Monitor,
    /// Gone as soon as the relay stops: a strong one would keep the queues open.
    producer: Weak<dyn Producer>,
    /// In the order of the producer.
    targets: Arc<[Watched]>,
    budget: Arc<Budget>,
    /// One order at a time, so that no letter is replayed twice.
    turn: Mutex<()>,
    readers: Semaphore,
}

/// A request on its way to whoever asked for it, charged to the memory limit until it is there.
struct Lent {
    request: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.request
    }
}

/// What became of one letter.
enum Offered {
    Taken,
    /// There is no room for it now.
    Later,
}

impl Desk {
    pub(crate) fn new(
        monitor: Monitor,
        producer: Weak<dyn Producer>,
        targets: Arc<[Watched]>,
        budget: Arc<Budget>,
    ) -> Self {
        Self {
            monitor,
            producer,
            targets,
            budget,
            turn: Mutex::default(),
            readers: Semaphore::new(READERS),
        }
    }

    pub(crate) async fn page(&self, wanted: Wanted) -> Page {
        self.look(move |store| Page::of(store, &wanted)).await
    }

    pub(crate) async fn show(&self, id: Id) -> Result<Shown, Error> {
        self.look(move |store| Shown::of(store, &id)).await
    }

    /// The captured request; `None` if it does not fit into the memory limit now.
    pub(crate) async fn request(&self, id: Id) -> Result<Option<Bytes>, Error> {
        let Some((request, reservation)) = self.read(id, 0).await? else {
            return Ok(None);
        };
        Ok(Some(Bytes::from_owner(Lent {
            request,
            _reservation: reservation,
        })))
    }

    pub(crate) async fn purge(&self, order: Order) -> Done {
        let _turn = self.turn.lock().await;
        let done = self
            .look(move |store| Done::purged(store, &order.ids))
            .await;
        tracing::warn!(
            letters = done.done.len(),
            "purged dead letters, as it was asked for"
        );
        done
    }

    /// Offers letters to their targets, or to another, and removes what was taken.
    pub(crate) async fn replay(&self, order: &Order) -> Done {
        let _turn = self.turn.lock().await;
        let end = Instant::now() + LONGEST_ORDER;
        let mut done = Done::default();
        for id in &order.ids {
            if Instant::now() >= end {
                done.left.push(id.clone());
                continue;
            }
            match self.replay_one(id, order.to.as_deref()).await {
                Ok(Offered::Later) => done.left.push(id.clone()),
                Ok(Offered::Taken) => done.note(id, anyhow::Ok(())),
                Err(error) => done.note(id, Err(error)),
            }
        }
        if !done.done.is_empty() {
            tracing::info!(letters = done.done.len(), "replayed dead letters");
        }
        done
    }

    async fn replay_one(&self, id: &str, to: Option<&str>) -> anyhow::Result<Offered> {
        let id = id.parse::<Id>()?;
        let (index, target) = self.target(to.unwrap_or(&id.target))?;
        let len = self.monitor.store.request_len(&id)?;
        if !target.has_room_for(len) {
            return Ok(Offered::Later);
        }
        let Some((request, reservation)) = self.read(id.clone(), Record::OVERHEAD).await? else {
            return Ok(Offered::Later);
        };
        let (head, body) = captured::read(&request)
            .with_context(|| format!("the dead letter {id} is damaged; purge it"))?;
        let head = Head {
            // Its times are in it already: what begins anew is its age, see ADR 0008.
            received: SystemTime::now(),
            ..head
        };
        let mut payload = PayloadBuffer::new(Some(body.len() as u64));
        payload.push(&body);
        let record = Record::new(head, payload.finish(), reservation);
        drop((request, body));
        let offered = {
            let producer = self.producer.upgrade();
            let producer = producer.context("the relay is stopping: ask the next one")?;
            producer.offer_to_target(index, &record)
        };
        if offered.queued == 0 {
            bail!(
                "the queue of {} refused it: see its dropped profiles in `pyrotee status`",
                target.name
            );
        }
        drop(record);
        // Where it does not become durable it is in memory all the same, and will be sent.
        offered.receipt.durable().await;
        self.monitor.counters.replayed.fetch_add(1, Relaxed);
        let gone = id.clone();
        let removed = self.look(move |store| store.remove(&gone)).await;
        match removed {
            // Made room for another, just now.
            Ok(()) | Err(Error::Gone(_)) => Ok(Offered::Taken),
            Err(error) => {
                Err(anyhow!(error)
                    .context(format!("{id} was replayed, but is still there; purge it")))
            }
        }
    }

    /// Reads a request into memory that is charged for, with so many bytes beside it.
    async fn read(&self, id: Id, beside: u64) -> Result<Option<(Bytes, Reservation)>, Error> {
        let len = self.monitor.store.request_len(&id)?;
        let Some(reservation) = self.budget.reserve(len + beside) else {
            return Ok(None);
        };
        let request = self.look(move |store| store.request(&id)).await?;
        Ok(Some((request, reservation)))
    }

    fn target(&self, name: &str) -> anyhow::Result<(usize, &Watched)> {
        let mut targets = self.targets.iter().enumerate();
        let found = targets.find(|(_, target)| target.name == name);
        found.with_context(|| {
            let known: Vec<_> = self.targets.iter().map(|target| &*target.name).collect();
            format!(
                "no target `{name}`; name another with --to: {}",
                known.join(", ")
            )
        })
    }

    /// Has files looked at.
    async fn look<T: Send + 'static>(&self, with: impl FnOnce(&Store) -> T + Send + 'static) -> T {
        let place = self.readers.acquire().await;
        let place = place.expect("the semaphore is never closed");
        let store = Arc::clone(&self.monitor.store);
        let looked = tokio::task::spawn_blocking(move || with(&store)).await;
        drop(place);
        looked.expect("looking at files does not panic")
    }
}
