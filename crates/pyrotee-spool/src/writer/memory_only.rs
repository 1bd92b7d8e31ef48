//! Memory-only mode: the disk cannot be written, and records stay in memory.

use std::error::Error;
use std::io;

use pyrotee_queue::lock;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Writer;
use crate::Mode;

impl Writer {
    /// Enters memory-only mode after a failure of the disk. Receipts of unwritten records fail if they promise the
    /// disk, and resolve if not.
    pub(super) fn enter_memory_only(&mut self, error: &io::Error) {
        // The result of a running sync job does not cover what is written from now on.
        self.sync.forget();
        self.take_back_uncommitted();
        if let Some(active) = self.active.take() {
            self.close(&active);
            self.torn.push(active);
        }
        let mut intake = lock(&self.shared.intake);
        let before = intake.memory_only;
        intake.memory_only = true;
        self.limit_records(true);
        let receipts: Vec<_> = intake
            .writes
            .iter_mut()
            .map(|write| write.receipt.take())
            .collect();
        drop(intake);
        // Set before the receipts resolve.
        self.shared.counters.memory_only.set(1);
        self.shared.counters.troubles.add(1);
        for receipt in receipts.into_iter().flatten() {
            // Dropping the sender makes the receipt fail.
            if !self.shared.receipts_promise_disk {
                receipt.send(()).ok();
            }
        }
        self.retry_at = Some(Instant::now() + self.settings.retry_after);
        if !before {
            let dir = self.settings.dir.display();
            let (error, remedy) = (error as &dyn Error, Mode::MemoryOnly.remedy());
            warn!(%dir, error, remedy, "spool cannot write, records stay in memory");
        }
    }

    /// Sets whether the limit of records applies to the records that the queues hold in memory. While the disk works,
    /// only the limit of bytes applies to unwritten records.
    fn limit_records(&self, limits: bool) {
        for queue in self.shared.all_queues().iter() {
            queue.queue.limit_records(limits);
        }
    }

    /// Leaves memory-only mode, if the spool was in it.
    pub(super) fn leave_memory_only(&mut self) {
        if self.retry_at.take().is_some() {
            lock(&self.shared.intake).memory_only = false;
            self.limit_records(false);
            self.shared.counters.memory_only.set(0);
            let dir = self.settings.dir.display();
            info!(%dir, "spool writes again");
        }
    }
}
