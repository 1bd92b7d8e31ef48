//! The lease of a record that came from the stream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use pyrotee_queue::{Lease, LeaseEnd, Settle};
use tokio::time::Instant;

use crate::histories::GivenBack;
use crate::shelf::Received;
use crate::target::Target;

/// Longest delay of a record that goes back to the stream. The history of its retries is only known here: if this relay
/// ends, another one gets the record soon.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(60);

struct SharedLease {
    target: Arc<Target>,
    received: Received,
}

/// The lease of a record that was taken out of the buffer.
pub(crate) fn lease(target: &Arc<Target>, received: Received) -> Lease {
    let (lane, history) = (received.lane(), received.history);
    let record = Arc::clone(&received.record);
    let settle = SharedLease {
        target: Arc::clone(target),
        received,
    };
    Lease::new(record, lane, history, Box::new(settle))
}

/// The delay after which the broker gives out a record again whose retry is due at `due`.
pub(crate) fn delay_until(due: Instant) -> Duration {
    due.saturating_duration_since(Instant::now())
        .min(LONGEST_DELAY)
}

impl Settle for SharedLease {
    fn settle(self: Box<Self>, end: LeaseEnd) {
        let Self { target, received } = *self;
        let (key, bytes) = (received.key, received.record.len());
        let ledger = target.queue.ledger();
        // Counted first: the record is leased until the ledger has counted its end.
        match end {
            LeaseEnd::Acked => {
                ledger.sent(bytes);
                target.shelf.settle(key, AckKind::Ack, None);
            }
            LeaseEnd::Lost(reason) => {
                ledger.lose(bytes, reason);
                target.shelf.settle(key, AckKind::Term, None);
            }
            LeaseEnd::Released => {
                let history = received.history;
                if !target.shelf.release(received) {
                    ledger.hand_over(bytes);
                    let due = Instant::now();
                    let given_back = Some(GivenBack { history, due });
                    target.shelf.settle(key, AckKind::Nak(None), given_back);
                }
            }
            LeaseEnd::Retried { at, history } => {
                ledger.hand_over(bytes);
                let kind = AckKind::Nak(Some(delay_until(at)));
                let given_back = Some(GivenBack { history, due: at });
                target.shelf.settle(key, kind, given_back);
            }
        }
        // The consumer may wait for the end of the last lease, or for the released record.
        target.queue.notify();
    }
}
