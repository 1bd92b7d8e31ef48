//! Shows, replays and purges the dead letters of a running relay.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use pyrotee_letters::{Error, Id, Monitor, NotOpen, ReadError, Store, read_captured};
use pyrotee_queue::{Budget, Head, PayloadBuffer, Producer, Record, Reservation, receipt_time};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::file_body::FileBody;
use crate::json::dead_letters::{BatchRequest, BatchResult, LetterDetail, LetterPage, PageQuery};
use crate::json::line;
use crate::{TargetList, TargetView};

/// How long one batch may take; the command repeats the request for the ids that are left.
const LONGEST_BATCH: Duration = Duration::from_secs(2);

/// Threads that access files, at once.
const READERS: usize = 2;

/// Responses with lists or heads of letters, at once.
const PAGES: usize = 4;

/// Captured requests that are sent at once.
const FILES: usize = 4;

/// Requests to change letters that are read into memory at once.
const ORDERS: usize = 4;

/// How long a request waits for a place.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Shows, replays and purges letters. Files are read and removed on threads that may wait for the disk.
#[derive(Debug)]
pub struct LetterService {
    monitor: Monitor,
    /// A weak reference, because a strong one would keep the queues open when the relay stops.
    producer: Weak<dyn Producer>,
    targets: TargetList,
    budget: Arc<Budget>,
    /// One batch at a time, so that no letter is replayed twice.
    turn: Mutex<()>,
    readers: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    files: Arc<Semaphore>,
    orders: Arc<Semaphore>,
}

/// The service with an open directory of letters.
#[derive(Debug)]
pub(crate) struct OpenLetters {
    service: Arc<LetterService>,
    store: Arc<Store>,
}

/// A JSON document, charged to the memory limit until the client has read it.
struct ChargedLine {
    line: String,
    _place: OwnedSemaphorePermit,
    _reservation: Reservation,
}

impl AsRef<[u8]> for ChargedLine {
    fn as_ref(&self) -> &[u8] {
        self.line.as_bytes()
    }
}

/// Why a letter is not shown.
#[derive(Debug)]
pub(super) enum ShowError {
    Letter(Error),
    /// All places for readers of letters are taken.
    Busy,
    /// The memory limit is reached.
    Memory,
}

impl From<Error> for ShowError {
    fn from(error: Error) -> Self {
        Self::Letter(error)
    }
}

/// The result of the replay of one letter.
enum Replayed {
    Taken,
    /// The queue or the memory has no room now.
    Later,
}

/// Why a letter was not replayed. `Display` says what to do next.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Letter(#[from] Error),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("the dead letter {id} is damaged; purge it")]
    Damaged { id: Id, source: ReadError },
    #[error("the relay is stopping: try again after its restart")]
    Stopping,
    #[error("the queue of {0} refused the profile: see its drops in `pyrotee status`")]
    Refused(String),
    #[error("{id} was replayed, but its file could not be removed; purge it")]
    StillThere { id: Id, source: Error },
}

/// Why letters cannot be replayed to a target. `Display` says what to do next.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    #[error("no target `{name}`; name another with --to: {known}")]
    Unknown { name: String, known: String },
    #[error(
        "target `{name}` was removed from the configuration and takes no new profiles; name another with --to: {known}"
    )]
    Draining { name: String, known: String },
}

impl LetterService {
    pub fn new(
        monitor: Monitor,
        producer: Weak<dyn Producer>,
        targets: TargetList,
        budget: Arc<Budget>,
    ) -> Self {
        Self {
            monitor,
            producer,
            targets,
            budget,
            turn: Mutex::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            pages: Arc::new(Semaphore::new(PAGES)),
            files: Arc::new(Semaphore::new(FILES)),
            orders: Arc::new(Semaphore::new(ORDERS)),
        }
    }

    /// The service, if the directory is open.
    pub(super) fn open(self: &Arc<Self>) -> Result<OpenLetters, NotOpen> {
        Ok(OpenLetters {
            service: Arc::clone(self),
            store: Arc::clone(self.monitor.store()?),
        })
    }

    /// The configured target of this name.
    fn target(&self, name: &str) -> Result<Arc<TargetView>, TargetError> {
        let known = || self.targets.names(|target| !target.is_draining());
        match self.targets.find(name) {
            Some(target) if !target.is_draining() => Ok(target),
            Some(_) => Err(TargetError::Draining {
                name: name.to_owned(),
                known: known(),
            }),
            None => Err(TargetError::Unknown {
                name: name.to_owned(),
                known: known(),
            }),
        }
    }
}

impl OpenLetters {
    /// A [`LetterPage`] as JSON.
    pub(super) async fn page(&self, wanted: PageQuery) -> Result<Bytes, ShowError> {
        self.document(move |store| Ok(line(&LetterPage::of(store, &wanted))))
            .await
    }

    /// A [`LetterDetail`] as JSON.
    pub(super) async fn show(&self, id: Id) -> Result<Bytes, ShowError> {
        self.document(move |store| Ok(line(&LetterDetail::of(store, &id)?)))
            .await
    }

    async fn document(
        &self,
        write: impl FnOnce(&Store) -> Result<String, Error> + Send + 'static,
    ) -> Result<Bytes, ShowError> {
        let place = place(&self.service.pages).await?;
        let line = self.look(write).await?;
        let reservation = self.service.budget.reserve(line.len() as u64);
        Ok(Bytes::from_owner(ChargedLine {
            line,
            _place: place,
            _reservation: reservation.ok_or(ShowError::Memory)?,
        }))
    }

    /// The captured request, which is read from its file in pieces.
    pub(super) async fn request(&self, id: Id) -> Result<FileBody, ShowError> {
        let place = place(&self.service.files).await?;
        let reservation = self.service.budget.reserve(FileBody::MEMORY);
        let reservation = reservation.ok_or(ShowError::Memory)?;
        let (file, len) = self.look(move |store| store.open_request(&id)).await?;
        Ok(FileBody::new(file, len, (place, reservation)))
    }

    /// A place for a request that changes letters; `None` if too many others have one.
    pub(super) async fn order_place(&self) -> Option<OwnedSemaphorePermit> {
        place(&self.service.orders).await.ok()
    }

    pub(super) async fn purge(&self, batch: BatchRequest) -> BatchResult {
        let _turn = self.service.turn.lock().await;
        let done = self
            .look(move |store| BatchResult::purged(store, &batch.ids))
            .await;
        tracing::warn!(letters = done.done.len(), "purged dead letters on request");
        done
    }

    /// Offers letters to their own targets, or to the target of the order, and removes the letters that were queued.
    ///
    /// # Errors
    /// The target of the order is not configured. A letter whose own target is not configured is a failure of that letter.
    pub(super) async fn replay(&self, batch: &BatchRequest) -> Result<BatchResult, TargetError> {
        if let Some(to) = &batch.to {
            self.service.target(to)?;
        }
        let _turn = self.service.turn.lock().await;
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
        Ok(done)
    }

    async fn replay_one(&self, id: &str, to: Option<&str>) -> Result<Replayed, ReplayError> {
        let id = id.parse::<Id>()?;
        let target = self.service.target(to.unwrap_or(&id.target))?;
        let len = self.request_len(id.clone()).await?;
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
            // The request's query already holds the profile's times. Only the record's age begins anew, see ADR 0008.
            received: receipt_time(),
            // The tags are for the target that rejected the profile. Another one's own tags apply.
            captor_tags: head.captor_tags.filter(|_| target.name == id.target),
            ..head
        };
        let mut payload = PayloadBuffer::new(Some(body.len() as u64));
        payload.push(&body);
        let record = Record::new(head, payload.finish(), reservation);
        drop((request, body));
        let offered = {
            let producer = self.service.producer.upgrade();
            let producer = producer.ok_or(ReplayError::Stopping)?;
            producer.offer_to_target(target.id, &record)
        };
        if offered.queued == 0 {
            // A reload may have removed the target meanwhile.
            self.service.target(&target.name)?;
            return Err(ReplayError::Refused(target.name.clone()));
        }
        drop(record);
        // A record that does not become durable is still in memory, and will be sent.
        offered.receipt.durable().await;
        self.service.monitor.count_replayed();
        let gone = id.clone();
        let removed = self.look(move |store| store.remove(&gone)).await;
        match removed {
            // `Gone`: the letter was removed meanwhile to make room for another letter.
            Ok(()) | Err(Error::Gone(_)) => Ok(Replayed::Taken),
            Err(source) => Err(ReplayError::StillThere { id, source }),
        }
    }

    /// Reads a request into memory charged to the budget, with `beside` more bytes; `None` if the budget is full.
    async fn read(&self, id: Id, beside: u64) -> Result<Option<(Bytes, Reservation)>, Error> {
        let len = self.request_len(id.clone()).await?;
        let Some(reservation) = self.service.budget.reserve(len + beside) else {
            return Ok(None);
        };
        let request = self.look(move |store| store.request(&id)).await?;
        Ok(Some((request, reservation)))
    }

    async fn request_len(&self, id: Id) -> Result<u64, Error> {
        self.look(move |store| store.request_len(&id)).await
    }

    /// Accesses files on a thread of their own. The thread's place is free once the disk has responded, even if the
    /// request was given up meanwhile.
    async fn look<T: Send + 'static>(&self, with: impl FnOnce(&Store) -> T + Send + 'static) -> T {
        let place = Arc::clone(&self.service.readers).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let store = Arc::clone(&self.store);
        let looked = tokio::task::spawn_blocking(move || {
            let _place = place;
            with(&store)
        });
        looked.await.expect("looking at files does not panic")
    }
}

async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ShowError> {
    let place = timeout(LONGEST_WAIT, Arc::clone(places).acquire_owned()).await;
    place.ok().and_then(Result::ok).ok_or(ShowError::Busy)
}
