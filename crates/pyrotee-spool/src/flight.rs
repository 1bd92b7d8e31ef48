//! Notes in the file `lives` that a record is in flight.

use std::sync::Arc;

use pyrotee_segments::Flight;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::reader::{ReaderRequest, RunningSpool};

/// Keeps a record noted as in flight, and holds the only permit of a careful process, until the lease has ended.
pub(crate) struct FlightGuard {
    spool: Arc<RunningSpool>,
    flight: Flight,
    _turn: Option<OwnedSemaphorePermit>,
}

impl FlightGuard {
    /// Has the reader thread note the record, and waits for it, before the record is handed out.
    pub(crate) async fn note(
        spool: &Arc<RunningSpool>,
        flight: Flight,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (noted, is_noted) = oneshot::channel();
        let guard = Self {
            spool: Arc::clone(spool),
            flight,
            _turn: turn,
        };
        let request = ReaderRequest::NoteLease { flight, noted };
        guard.spool.reader.send(request).ok();
        // After a panic of the reader the record is not noted, and so not suspected.
        is_noted.await.ok();
        guard
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        // The reader handles requests in order, so the next lease is noted after the end of this lease.
        let request = ReaderRequest::NoteEnd(self.flight);
        self.spool.reader.send(request).ok();
    }
}
