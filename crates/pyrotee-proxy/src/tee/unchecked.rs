//! A record that is checked before it is offered; the check decides the response.

use std::fmt;
use std::sync::Arc;

use pyrotee_queue::{Check, OfferResult, Record, Unfit};

use super::recorder::Recorder;

/// A captured record that is in no queue yet. If it is dropped before the check has ended, because the client left, it
/// is offered unchecked: its body is complete, and the delivery checks it later.
pub(crate) struct UncheckedRecord {
    recorder: Arc<Recorder>,
    record: Arc<Record>,
    /// `None` once the check has ended.
    check: Option<Check>,
}

impl UncheckedRecord {
    pub(super) fn new(recorder: &Arc<Recorder>, record: Arc<Record>, check: Check) -> Self {
        Self {
            recorder: Arc::clone(recorder),
            record,
            check: Some(check),
        }
    }

    /// Waits for the check. Then offers the record, or counts it as dropped and returns why no target can get it.
    pub(crate) async fn decide(mut self) -> Result<OfferResult, Unfit> {
        if let Some(check) = &mut self.check {
            let result = check.await;
            self.check = None;
            if let Err(unfit) = result {
                self.recorder.tee.refuse(self.record.len(), unfit.reason());
                return Err(unfit);
            }
        }
        Ok(self.recorder.tee.offer(&self.record))
    }
}

impl Drop for UncheckedRecord {
    fn drop(&mut self) {
        if self.check.is_some() {
            // The ledgers have counted the offer; nobody needs its receipt.
            let _counted = self.recorder.tee.offer(&self.record);
        }
    }
}

impl fmt::Debug for UncheckedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UncheckedRecord")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
