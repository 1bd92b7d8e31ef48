//! The backend that keeps records in memory. Nothing survives the process.

mod queue;

use std::sync::Arc;
use std::time::SystemTime;

use crate::{
    Consumer, Fate, Lease, LeaseFuture, Ledger, Limits, Offered, Producer, Reason, Receipt, Record,
    Settle,
};
use queue::{Next, Queue};

/// Opens one queue for each target: a producer for all, a consumer for each, in the same order.
pub fn open(
    targets: impl IntoIterator<Item = (Limits, Arc<Ledger>)>,
) -> (Arc<dyn Producer>, Vec<Arc<dyn Consumer>>) {
    let queues: Vec<_> = targets
        .into_iter()
        .map(|(limits, ledger)| Arc::new(Queue::new(limits, ledger)))
        .collect();
    let consumer = |queue: &Arc<Queue>| Arc::new(MemoryConsumer(Arc::clone(queue))) as _;
    let consumers = queues.iter().map(consumer).collect();
    (Arc::new(MemoryProducer { queues }), consumers)
}

#[derive(Debug)]
struct MemoryProducer {
    queues: Vec<Arc<Queue>>,
}

impl Producer for MemoryProducer {
    fn offer(&self, record: &Arc<Record>) -> Offered {
        let taken = self
            .queues
            .iter()
            .filter(|queue| queue.push(record))
            .count();
        Offered {
            taken,
            refused: self.queues.len() - taken,
            receipt: Receipt::immediate(),
        }
    }

    fn refuse(&self, bytes: u64, reason: Reason) {
        for queue in &self.queues {
            queue.ledger().refuse(bytes, reason);
        }
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
struct MemoryConsumer(Arc<Queue>);

impl Consumer for MemoryConsumer {
    fn lease(&self) -> LeaseFuture<'_> {
        Box::pin(async {
            loop {
                // A permit is kept for whoever comes late, so nothing is missed between the two.
                match self.0.take() {
                    Next::Ready { number, record } => {
                        let in_flight = InFlight {
                            queue: Arc::clone(&self.0),
                            number,
                            record: Arc::clone(&record),
                        };
                        return Some(Lease::new(record, Box::new(in_flight)));
                    }
                    Next::Finished => return None,
                    Next::Nothing => self.0.changed().await,
                }
            }
        })
    }

    fn abandon(&self, reason: Reason) {
        self.0.abandon(reason);
    }

    fn oldest(&self) -> Option<SystemTime> {
        self.0.oldest()
    }
}

struct InFlight {
    queue: Arc<Queue>,
    number: u64,
    record: Arc<Record>,
}

impl Settle for InFlight {
    fn settle(self: Box<Self>, fate: Fate) {
        self.queue.settle(self.number, self.record, fate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn memory_passes_the_conformance_suite() {
        conformance::run(open).await;
    }
}
