//! Shows, replays and purges the dead letters of a running relay.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use pyrotee_letters::{Error, Id, Monitor, ReadError, Store, read_captured};
use pyrotee_queue::{Budget, Head, PayloadBuffer, Producer, Record, Reservation, receipt_time};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::json::dead_letters::{BatchRequest, BatchResult, LetterDetail, LetterPage, PageQuery};
use crate::target_view::{TargetView, known};

/// How long one batch may take; the command asks again for what is left.
const LONGEST_BATCH: Duration = Duration::from_secs(2);

/// Threads that look at files, at once.
const READERS: usize = 2;

/// Shows, replays and purges letters. Files are read and removed on threads that may wait for the disk.
#[derive(Debug)]
pub struct LetterService {
    monitor: Monitor,
    /// Gone as soon as the relay stops: a strong one would keep the queues open.
    producer: Weak<dyn Producer>,
    /// In the order of the producer.
    targets: Arc<[TargetView]>,
    budget: Arc<Budget>,
    /// One batch at a time, so that no letter is replayed twice.
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
enum Replayed {
    Taken,
    /// There is no room for it now.
    Later,
}

/// Why a letter was not replayed. `Display` says what to do next.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Letter(#[from] Error),
    #[error("no target `{name}`; name another with --to: {known}")]
    NoTarget { name: String, known: String },
    #[error("the dead letter {id} is damaged; purge it")]
    Damaged { id: Id, source: ReadError },
    #[error("the relay is stopping: ask the next one")]
    Stopping,
    #[error("the queue of {0} refused it: see its dropped profiles in `pyrotee status`")]
    Refused(String),
    #[error("{id} was replayed, but is still there; purge it")]
    StillThere { id: Id, source: Error },
}

impl LetterService {
    pub fn new(
        monitor: Monitor,
        producer: Weak<dyn Producer>,
        targets: Arc<[TargetView]>,
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

    pub async fn page(&self, wanted: PageQuery) -> LetterPage {
        self.look(move |store| LetterPage::of(store, &wanted)).await
    }

    pub async fn show(&self, id: Id) -> Result<LetterDetail, Error> {
        self.look(move |store| LetterDetail::of(store, &id)).await
    }

    /// The captured request; `None` if it does not fit into the memory limit now.
    pub async fn request(&self, id: Id) -> Result<Option<Bytes>, Error> {
        let Some((request, reservation)) = self.read(id, 0).await? else {
            return Ok(None);
        };
        Ok(Some(Bytes::from_owner(Lent {
            request,
            _reservation: reservation,
        })))
    }

    pub async fn purge(&self, batch: BatchRequest) -> BatchResult {
        let _turn = self.turn.lock().await;
        let done = self
            .look(move |store| BatchResult::purged(store, &batch.ids))
            .await;
        tracing::warn!(
            letters = done.done.len(),
            "purged dead letters, as it was asked for"
        );
        done
    }

    /// Offers letters to their targets, or to another, and removes what was taken.
    pub async fn replay(&self, batch: &BatchRequest) -> BatchResult {
        let _turn = self.turn.lock().await;
        let end = Instant::now() + LONGEST_BATCH;
        let mut done = BatchResult::default();
        for id in &batch.ids {
            if Instant::now() >= end {
                done.left.push(id.clone());
                continue;
            }
            match self.replay_one(id, batch.to.as_deref()).await {
                Ok(Replayed::Later) => done.left.push(id.clone()),
                Ok(Replayed::Taken) => done.note(id, Ok::<(), ReplayError>(())),
                Err(error) => done.note(id, Err(error)),
            }
        }
        if !done.done.is_empty() {
            tracing::info!(letters = done.done.len(), "replayed dead letters");
        }
        done
    }

    async fn replay_one(&self, id: &str, to: Option<&str>) -> Result<Replayed, ReplayError> {
        let id = id.parse::<Id>()?;
        let (index, target) = self.target(to.unwrap_or(&id.target))?;
        let len = self.monitor.store().request_len(&id)?;
        if !target.has_room_for(len) {
            return Ok(Replayed::Later);
        }
        let Some((request, reservation)) = self.read(id.clone(), Record::OVERHEAD).await? else {
            return Ok(Replayed::Later);
        };
        let (head, body) = match read_captured(&request) {
            Ok(read) => read,
            Err(source) => return Err(ReplayError::Damaged { id, source }),
        };
        let head = Head {
            // Its times are in it already: what begins anew is its age, see ADR 0008.
            received: receipt_time(),
            ..head
        };
        let mut payload = PayloadBuffer::new(Some(body.len() as u64));
        payload.push(&body);
        let record = Record::new(head, payload.finish(), reservation);
        drop((request, body));
        let offered = {
            let producer = self.producer.upgrade();
            let producer = producer.ok_or(ReplayError::Stopping)?;
            producer.offer_to_target(index, &record)
        };
        if offered.queued == 0 {
            return Err(ReplayError::Refused(target.name.clone()));
        }
        drop(record);
        // Where it does not become durable it is in memory all the same, and will be sent.
        offered.receipt.durable().await;
        self.monitor.count_replayed();
        let gone = id.clone();
        let removed = self.look(move |store| store.remove(&gone)).await;
        match removed {
            // Made room for another, just now.
            Ok(()) | Err(Error::Gone(_)) => Ok(Replayed::Taken),
            Err(source) => Err(ReplayError::StillThere { id, source }),
        }
    }

    /// Reads a request into memory that is charged for, with so many bytes beside it.
    async fn read(&self, id: Id, beside: u64) -> Result<Option<(Bytes, Reservation)>, Error> {
        let len = self.monitor.store().request_len(&id)?;
        let Some(reservation) = self.budget.reserve(len + beside) else {
            return Ok(None);
        };
        let request = self.look(move |store| store.request(&id)).await?;
        Ok(Some((request, reservation)))
    }

    fn target(&self, name: &str) -> Result<(usize, &TargetView), ReplayError> {
        let mut targets = self.targets.iter().enumerate();
        let found = targets.find(|(_, target)| target.name == name);
        found.ok_or_else(|| ReplayError::NoTarget {
            name: name.to_owned(),
            known: known(&self.targets),
        })
    }

    /// Has files looked at.
    async fn look<T: Send + 'static>(&self, with: impl FnOnce(&Store) -> T + Send + 'static) -> T {
        let place = self.readers.acquire().await;
        let place = place.expect("the semaphore is never closed");
        let store = Arc::clone(self.monitor.store());
        let looked = tokio::task::spawn_blocking(move || with(&store)).await;
        drop(place);
        looked.expect("looking at files does not panic")
    }
}
