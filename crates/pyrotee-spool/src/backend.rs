//! The spool as a backend of `pyrotee_queue`: producer, consumers and leases.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pyrotee_queue::{
    Consumer, Lease, LeaseEnd, LeaseFilter, LeaseFuture, LeasedEntry, OfferResult, Producer,
    QueueId, QueuedRecord, Reason, Receipt, Record, Settle, TakeResult, Tally, lock,
};
use pyrotee_segments::{File, SegmentPosition};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::sleep;

use crate::flight::FlightGuard;
use crate::offer::Offered;
use crate::reader::{LateRead, ReadRequest, ReadResult, ReaderRequest, RunningSpool};
use crate::spool_queue::SpoolQueue;
use crate::spooled_record::{Lookup, RecordClaim};
use crate::tracker::TrackerState;

/// Time between two attempts to reserve memory while the budget has no room.
const BETWEEN_RESERVATIONS: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct SpoolProducer(pub(crate) Arc<RunningSpool>);

impl Producer for SpoolProducer {
    fn offer(&self, record: &Arc<Record>) -> OfferResult {
        self.0.shared.offer(None, record).into()
    }

    fn offer_to_target(&self, target: QueueId, record: &Arc<Record>) -> OfferResult {
        self.0.shared.offer(Some(target), record).into()
    }

    fn refuse(&self, bytes: u64, reason: Reason) {
        self.0.shared.refuse(bytes, reason);
    }
}

impl From<Offered> for OfferResult {
    fn from(offered: Offered) -> Self {
        let receipt = offered.receipt;
        Self {
            queued: offered.queued,
            refused: offered.refused,
            oversized: offered.oversized,
            receipt: receipt.map_or_else(Receipt::immediate, Receipt::later),
        }
    }
}

impl Drop for SpoolProducer {
    fn drop(&mut self) {
        let shared = &self.0.shared;
        lock(&shared.intake).is_complete = true;
        shared.close_queues();
    }
}

#[derive(Debug)]
pub(crate) struct SpoolConsumer {
    spool: Arc<RunningSpool>,
    queue: Arc<SpoolQueue>,
    /// Index of the queue.
    target: usize,
    /// The generation of consumers of the queue to which this one belongs.
    generation: u64,
    late: Arc<LateRead>,
}

/// The result of getting a record into memory.
enum FetchResult {
    Record(Arc<Record>),
    /// The budget has no room.
    OverBudget,
    /// The segment of the record was evicted meanwhile, or cannot be read for now.
    Unavailable,
    Lost(Reason),
}

impl SpoolConsumer {
    pub(crate) fn new(spool: Arc<RunningSpool>, target: usize, queue: Arc<SpoolQueue>) -> Self {
        Self {
            spool,
            generation: queue.generation(),
            queue,
            target,
            late: Arc::new(Mutex::default()),
        }
    }

    /// Whether this consumer must not lease any more: the draining of the target has ended, or the target has returned
    /// while a replay was leasing.
    pub(crate) fn has_ended(&self) -> bool {
        self.queue.generation() != self.generation
    }

    async fn fetch(&self, claim: &RecordClaim) -> FetchResult {
        let position = match claim.record.lookup() {
            Lookup::Memory(record) => return FetchResult::Record(record),
            Lookup::Disk(position) => position,
            Lookup::Released => return FetchResult::Lost(Reason::DiskError),
        };
        let Some(file) = claim.record.tracker.file(position.segment) else {
            return FetchResult::Unavailable;
        };
        match self.read(claim, position, file).await {
            None => FetchResult::OverBudget,
            Some(ReadResult::Record(record)) => FetchResult::Record(record),
            Some(ReadResult::Corrupt) => FetchResult::Lost(Reason::Corrupt),
            Some(ReadResult::Failed) => FetchResult::Unavailable,
        }
    }

    /// Asks the reader thread for the record. `None`: the budget has no room.
    async fn read(
        &self,
        claim: &RecordClaim,
        position: SegmentPosition,
        file: Arc<dyn File>,
    ) -> Option<ReadResult> {
        if let Some((number, record)) = lock(&self.late).take()
            && number == claim.record.number()
        {
            claim.record.cache(&record);
            return Some(ReadResult::Record(record));
        }
        let bytes = claim.len() + u64::from(position.before_body) + Record::OVERHEAD;
        let reservation = self.spool.shared.budget.reserve(bytes)?;
        let (reply, result) = oneshot::channel();
        let request = ReadRequest {
            record: Arc::clone(&claim.record),
            position,
            file,
            reservation,
            reply,
            late: Arc::clone(&self.late),
        };
        // The reader thread runs as long as this sender exists.
        let request = ReaderRequest::Read(request);
        self.spool.reader.send(request).ok();
        let result = result.await;
        Some(result.unwrap_or_else(|_| {
            let shared = &self.spool.shared;
            shared.note_read_panic(position, claim.record.number());
            ReadResult::Failed
        }))
    }
}

impl SpoolConsumer {
    /// Notes in the file `lives` that a record is in flight. `None`: records in flight are not noted now.
    async fn note_flight(
        &self,
        claim: &RecordClaim,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Option<FlightGuard> {
        let shared = &self.spool.shared;
        if !shared.lives.is_noting() {
            return None;
        }
        let flight = (shared.target_id(self.target)?, claim.record.number());
        Some(FlightGuard::note(&self.spool, flight, turn).await)
    }

    /// Drops the records of segments that could not be read yet. Returns the number of these records.
    fn lose_unread(&self, reason: Reason) -> u64 {
        let lose = |tracker: &mut TrackerState| tracker.lose_all_unread(self.target);
        let shared = &self.spool.shared;
        shared.lose_unread_of(self.target, reason, lose)
    }
}

impl Consumer for SpoolConsumer {
    fn lease<'a>(&'a self, filters: &'a [LeaseFilter]) -> LeaseFuture<'a> {
        Box::pin(async move {
            // While the budget has no room, only records that are in memory are leased.
            let mut from = 0;
            loop {
                let turn = self.spool.shared.lives.turn().await;
                if self.has_ended() {
                    return None;
                }
                match self.queue.queue.take(filters, from) {
                    TakeResult::Leased(leased) => {
                        let (lane, history) = (leased.lane(), leased.history());
                        let (evicted, birth) =
                            (leased.is_evicted(), self.queue.queue.birth(&leased));
                        let claim = leased.record().clone();
                        let mut lease = SpoolLease::new(self, leased);
                        match self.fetch(&claim).await {
                            // Dropping the lease puts the record back.
                            FetchResult::Record(_) if self.has_ended() => return None,
                            FetchResult::Record(record) => {
                                // An evicted record is not uploaded.
                                if !evicted {
                                    lease.flight = self.note_flight(&claim, turn).await;
                                }
                                let lease = Lease::new(record, lane, history, Box::new(lease));
                                return Some(lease.with_evicted(evicted).with_birth(birth));
                            }
                            FetchResult::OverBudget => from = self.queue.queue.in_memory_from(),
                            // Dropping the lease puts the record back. The queue drops a record whose segment was
                            // evicted, and holds back a record that cannot be read.
                            FetchResult::Unavailable => drop(lease),
                            FetchResult::Lost(reason) => {
                                Box::new(lease).settle(LeaseEnd::Lost(reason))
                            }
                        }
                    }
                    TakeResult::Finished => return None,
                    TakeResult::NoMatch { .. } if from > 0 => {
                        drop(turn);
                        sleep(BETWEEN_RESERVATIONS).await;
                        from = 0;
                    }
                    TakeResult::NoMatch { next_due } => {
                        drop(turn);
                        self.queue.queue.changed(next_due).await;
                    }
                }
            }
        })
    }

    fn fall_behind(&self) {
        self.queue.queue.fall_behind();
    }

    fn expire(&self, received_before: SystemTime) {
        self.queue.queue.expire(received_before);
        let received_before = self.spool.shared.clock.to_steady(received_before);
        let expire =
            |tracker: &mut TrackerState| tracker.expire_unread(self.target, received_before);
        let shared = &self.spool.shared;
        shared.lose_unread_of(self.target, Reason::Expired, expire);
    }

    /// [`Reason::Shutdown`] drops no record: the next process delivers the pending records.
    fn abandon(&self, reason: Reason) {
        match reason {
            // The queue belongs to another consumer.
            Reason::Shutdown if self.has_ended() => {}
            Reason::Shutdown => self.queue.queue.freeze(),
            reason => {
                self.queue.queue.abandon(reason);
                self.lose_unread(reason);
            }
        }
    }

    fn purge(&self) -> Tally {
        let mut purged = self.queue.queue.purge();
        purged.profiles += self.lose_unread(Reason::Admin);
        purged
    }

    fn oldest(&self) -> Option<SystemTime> {
        self.queue.queue.oldest()
    }
}

/// A record that was taken out of its queue. Dropping it puts the record back.
struct SpoolLease {
    queue: Arc<SpoolQueue>,
    leased: Option<LeasedEntry<RecordClaim>>,
    flight: Option<FlightGuard>,
    /// Keeps the threads running until the last lease has ended.
    _spool: Arc<RunningSpool>,
}

impl SpoolLease {
    fn new(consumer: &SpoolConsumer, leased: LeasedEntry<RecordClaim>) -> Self {
        Self {
            queue: Arc::clone(&consumer.queue),
            leased: Some(leased),
            flight: None,
            _spool: Arc::clone(&consumer.spool),
        }
    }
}

impl Settle for SpoolLease {
    fn settle(mut self: Box<Self>, end: LeaseEnd) {
        if let Some(leased) = self.leased.take() {
            self.queue.queue.settle(leased, end);
        }
    }
}

impl Drop for SpoolLease {
    fn drop(&mut self) {
        if let Some(leased) = self.leased.take() {
            self.queue.queue.put_back(leased);
        }
    }
}
