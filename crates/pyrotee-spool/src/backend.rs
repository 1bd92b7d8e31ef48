//! The seam: producer, consumers, leases.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pyrotee_queue::{
    Consumer, Fate, Lease, LeaseFuture, Next, Offered, Producer, Queue, Reason, Receipt, Record,
    Settle, Taken, Tally, Waits, Wanted,
};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::entry::{Claim, Location, Lookup};
use crate::reader::{Answer, Kept, Request};
use crate::shared::Live;
use crate::storage::File;

/// How often a read that failed is repeated before the record is given up …
const READS: u32 = 3;
/// … and the time between.
const BETWEEN_READS: Duration = Duration::from_millis(50);
/// How often a spent budget is asked again.
const BUDGET_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct SpoolProducer(pub(crate) Arc<Live>);

impl Producer for SpoolProducer {
    fn offer(&self, record: &Arc<Record>) -> Offered {
        self.offer_to_all_of(0..self.0.shared.queues.len(), record)
    }

    fn offer_to(&self, target: usize, record: &Arc<Record>) -> Offered {
        let last = self.0.shared.queues.len();
        self.offer_to_all_of(target.min(last)..target.saturating_add(1).min(last), record)
    }

    fn refuse(&self, bytes: u64, reason: Reason) {
        let shared = &self.0.shared;
        shared.refuse(0..shared.queues.len(), bytes, reason);
    }
}

impl SpoolProducer {
    fn offer_to_all_of(&self, targets: Range<usize>, record: &Arc<Record>) -> Offered {
        let shared = &self.0.shared;
        let size = record.len() + record.head().len() as u64;
        let too_long = size > shared.longest_record;
        let (taken, receipt) = if too_long {
            shared.refuse(targets.clone(), record.len(), Reason::SpoolFull);
            (0, None)
        } else {
            shared.offer(targets.clone(), record)
        };
        let refused = targets.len() - taken;
        let asked = || shared.queues.get(targets).into_iter().flatten();
        let oversized = || too_long || !asked().any(|queue| queue.can_hold(record.len()));
        Offered {
            taken,
            refused,
            oversized: taken == 0 && refused > 0 && oversized(),
            receipt: receipt.map_or_else(Receipt::immediate, Receipt::later),
        }
    }
}

impl Drop for SpoolProducer {
    fn drop(&mut self) {
        for queue in &self.0.shared.queues {
            queue.close();
        }
    }
}

#[derive(Debug)]
pub(crate) struct SpoolConsumer {
    live: Arc<Live>,
    queue: Arc<Queue<Claim>>,
    /// What was read for a lease that nobody waited for.
    kept: Arc<Kept>,
}

/// What became of the attempt to get a record into memory.
enum Fetched {
    Record(Arc<Record>),
    OverBudget,
    /// Its segment went meanwhile.
    Evicted,
    Lost(Reason),
}

impl SpoolConsumer {
    pub(crate) fn new(live: Arc<Live>, queue: Arc<Queue<Claim>>) -> Self {
        Self {
            live,
            queue,
            kept: Arc::new(Mutex::default()),
        }
    }

    async fn fetch(&self, claim: &Claim) -> Fetched {
        for attempt in 1..=READS {
            let location = match claim.entry.lookup() {
                Lookup::Here(record) => return Fetched::Record(record),
                Lookup::There(location) => location,
                Lookup::Nowhere => return Fetched::Lost(Reason::DiskError),
            };
            let Some(file) = claim.entry.book.file(location.segment) else {
                return Fetched::Evicted;
            };
            match self.read(claim, location, file).await {
                None => return Fetched::OverBudget,
                Some(Answer::Record(record)) => return Fetched::Record(record),
                Some(Answer::Corrupt) => return Fetched::Lost(Reason::Corrupt),
                Some(Answer::Failed) if attempt < READS => sleep(BETWEEN_READS).await,
                Some(Answer::Failed) => {}
            }
        }
        Fetched::Lost(Reason::DiskError)
    }

    /// Has the record read. `None`: the budget is spent.
    async fn read(&self, claim: &Claim, location: Location, file: Arc<dyn File>) -> Option<Answer> {
        if let Some((number, record)) = crate::lock(&self.kept).take()
            && number == claim.entry.number
        {
            claim.entry.share(&record);
            return Some(Answer::Record(record));
        }
        let bytes = claim.len() + u64::from(location.before_body) + Record::OVERHEAD;
        let reservation = self.live.shared.budget.reserve(bytes)?;
        let (answer, answered) = oneshot::channel();
        let request = Request {
            entry: Arc::clone(&claim.entry),
            location,
            file,
            reservation,
            answer,
            kept: Arc::clone(&self.kept),
        };
        if self.live.reader.send(request).is_err() {
            return Some(Answer::Failed);
        }
        Some(answered.await.unwrap_or(Answer::Failed))
    }
}

impl Consumer for SpoolConsumer {
    fn lease<'a>(&'a self, wanted: &'a [Wanted]) -> LeaseFuture<'a> {
        Box::pin(async move {
            // While the budget is spent, only what is in memory already.
            let mut from = 0;
            loop {
                match self.queue.take(wanted, from) {
                    Next::Ready(taken) => {
                        let (lane, history) = (taken.lane, taken.history());
                        let claim = taken.waiting.record.clone();
                        let held = InFlight::new(self, taken);
                        match self.fetch(&claim).await {
                            Fetched::Record(record) => {
                                return Some(Lease::new(record, lane, history, Box::new(held)));
                            }
                            Fetched::OverBudget => from = self.queue.held_from(),
                            // The queue knows why, and loses it when it comes back.
                            Fetched::Evicted => drop(held),
                            Fetched::Lost(reason) => Box::new(held).settle(Fate::Lost(reason)),
                        }
                    }
                    Next::Finished => return None,
                    Next::Nothing { .. } if from > 0 => {
                        sleep(BUDGET_AGAIN).await;
                        from = 0;
                    }
                    Next::Nothing { due } => self.queue.changed(due).await,
                }
            }
        })
    }

    fn fall_behind(&self) {
        self.queue.fall_behind();
    }

    fn expire(&self, received_before: SystemTime) {
        self.queue.expire(received_before);
    }

    /// [`Reason::Shutdown`] loses nothing: the next process delivers it.
    fn abandon(&self, reason: Reason) {
        match reason {
            Reason::Shutdown => self.queue.keep(),
            reason => self.queue.abandon(reason),
        }
    }

    fn purge(&self) -> Tally {
        self.queue.purge()
    }

    fn oldest(&self) -> Option<SystemTime> {
        self.queue.oldest()
    }
}

/// A record that left the queue. Until it is leased, dropping it undoes that.
struct InFlight {
    queue: Arc<Queue<Claim>>,
    taken: Option<Taken<Claim>>,
    /// The threads live until the last lease has ended.
    _live: Arc<Live>,
}

impl InFlight {
    fn new(consumer: &SpoolConsumer, taken: Taken<Claim>) -> Self {
        Self {
            queue: Arc::clone(&consumer.queue),
            taken: Some(taken),
            _live: Arc::clone(&consumer.live),
        }
    }
}

impl Settle for InFlight {
    fn settle(mut self: Box<Self>, fate: Fate) {
        if let Some(taken) = self.taken.take() {
            self.queue.settle(taken, fate);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.queue.put_back(taken);
        }
    }
}
