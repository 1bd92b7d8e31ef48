//! A record in flight, while it matters whether the process ends meanwhile.

use std::sync::Arc;

use pyrotee_segments::Flight;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::reader::{ReaderRequest, RunningSpool};

/// Keeps a record noted as in flight, and the turn of a careful process, until the lease has ended.
pub(crate) struct FlightGuard {
    spool: Arc<RunningSpool>,
    flight: Flight,
    _turn: Option<OwnedSemaphorePermit>,
}

impl FlightGuard {
    /// Has the record noted before it is handed out.
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
        // After a panic of the reader nobody is suspected.
        is_noted.await.ok();
        guard
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        // The reader works in the order of the requests, so that the next lease is noted after this end.
        let request = ReaderRequest::NoteEnd(self.flight);
        self.spool.reader.send(request).ok();
    }
}
