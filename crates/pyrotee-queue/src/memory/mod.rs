//! The backend that keeps records in memory. Nothing survives the process.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use crate::{
    Consumer, Fate, Lease, LeaseFuture, Ledger, Limits, Next, Offered, Producer, Queue, Reason,
    Receipt, Record, Settle, Taken, Tally, Wanted,
};

type RecordQueue = Queue<Arc<Record>>;

/// Opens one queue for each target: a producer for all, a consumer for each, in the same order.
pub fn open(
    targets: impl IntoIterator<Item = (Limits, Arc<Ledger>)>,
) -> (Arc<dyn Producer>, Vec<Arc<dyn Consumer>>) {
    let queues: Vec<_> = targets
        .into_iter()
        .map(|(limits, ledger)| Arc::new(Queue::new(limits, ledger)))
        .collect();
    let consumer = |queue: &Arc<RecordQueue>| Arc::new(MemoryConsumer(Arc::clone(queue))) as _;
    let consumers = queues.iter().map(consumer).collect();
    (Arc::new(MemoryProducer { queues }), consumers)
}

#[derive(Debug)]
struct MemoryProducer {
    queues: Vec<Arc<RecordQueue>>,
}

impl Producer for MemoryProducer {
    fn offer(&self, record: &Arc<Record>) -> Offered {
        offer_each(&self.queues, record)
    }

    fn offer_to(&self, target: usize, record: &Arc<Record>) -> Offered {
        let alone = self.queues.get(target).map(std::slice::from_ref);
        offer_each(alone.unwrap_or_default(), record)
    }

    fn refuse(&self, bytes: u64, reason: Reason) {
        for queue in &self.queues {
            queue.ledger().refuse(bytes, reason);
        }
    }
}

fn offer_each(queues: &[Arc<RecordQueue>], record: &Arc<Record>) -> Offered {
    let taken = queues.iter().filter(|queue| queue.push(Arc::clone(record)));
    let taken = taken.count();
    let refused = queues.len() - taken;
    let oversized = || !queues.iter().any(|queue| queue.can_hold(record.len()));
    Offered {
        taken,
        refused,
        oversized: taken == 0 && refused > 0 && oversized(),
        receipt: Receipt::immediate(),
    }
}

impl Drop for MemoryProducer {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.close();
        }
    }
}

#[derive(Debug)]
struct MemoryConsumer(Arc<RecordQueue>);

impl Consumer for MemoryConsumer {
    fn lease<'a>(&'a self, wanted: &'a [Wanted]) -> LeaseFuture<'a> {
        Box::pin(async move {
            loop {
                // A permit is kept for whoever comes late, so nothing is missed between the two.
                match self.0.take(wanted, 0) {
                    Next::Ready(taken) => return Some(self.lease_of(taken)),
                    Next::Finished => return None,
                    Next::Nothing { due } => self.0.changed(due).await,
                }
            }
        })
    }

    fn fall_behind(&self) {
        self.0.fall_behind();
    }

    fn expire(&self, received_before: SystemTime) {
        self.0.expire(received_before);
    }

    fn abandon(&self, reason: Reason) {
        self.0.abandon(reason);
    }

    fn purge(&self) -> Tally {
        self.0.purge()
    }

    fn oldest(&self) -> Option<SystemTime> {
        self.0.oldest()
    }
}

impl MemoryConsumer {
    fn lease_of(&self, taken: Taken<Arc<Record>>) -> Lease {
        let record = Arc::clone(&taken.waiting.record);
        let (lane, history) = (taken.lane, taken.waiting.history);
        let in_flight = InFlight {
            queue: Arc::clone(&self.0),
            taken,
        };
        Lease::new(record, lane, history, Box::new(in_flight))
    }
}

struct InFlight {
    queue: Arc<RecordQueue>,
    taken: Taken<Arc<Record>>,
}

impl Settle for InFlight {
    fn settle(self: Box<Self>, fate: Fate) {
        self.queue.settle(self.taken, fate);
    }
}
