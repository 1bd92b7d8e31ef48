//! Recovery of the writer thread from its own panics.

use std::io;
use std::time::Duration;

use pyrotee_queue::{Panic, Part, lock};
use tokio::time::Instant;
use tracing::error;

use super::Writer;

/// After so many panics within [`GIVING_UP_WITHIN`] the spool stays in memory-only mode until the process ends.
const GIVES_UP_AFTER: usize = 3;

const GIVING_UP_WITHIN: Duration = Duration::from_secs(60);

/// Longest time between two checks whether the cursors are to be saved, once the writer has given up.
const BETWEEN_SAVES: Duration = Duration::from_secs(10);

impl Writer {
    /// Runs until the spool is closed. After a panic the spool is in memory-only mode, and writes again after a pause, to a
    /// new segment.
    pub(crate) fn run_despite_panics(mut self) {
        let supervisor = self.shared.supervisor.clone();
        while let Err(panic) = supervisor.catch(Part::SpoolWrite, || self.run()) {
            if !self.is_closing() {
                let error = format!("writer thread panicked: {panic}");
                self.enter_memory_only(&io::Error::other(error));
                if !self.gives_up(&panic) {
                    continue;
                }
                self.save_cursors_until_closed();
            }
            // `end` must not save the cursors as those of a clean end.
            self.retry_at.get_or_insert_with(Instant::now);
            if supervisor.catch(Part::SpoolWrite, || self.end()).is_err() {
                self.shared.lose_unwritten();
            }
            return;
        }
    }

    fn is_closing(&self) -> bool {
        lock(&self.shared.intake).closing
    }

    /// Waits until the spool is closed. Meanwhile saves only the cursors, until a save panics: records on disk are
    /// still delivered.
    fn save_cursors_until_closed(&mut self) {
        let supervisor = self.shared.supervisor.clone();
        let mut saves = true;
        while !self.is_closing() {
            if saves {
                let saving = || self.save_if_due().map(drop);
                // An error of the disk is no reason to stop: the next save may succeed.
                saves = supervisor.catch(Part::SpoolWrite, saving).is_ok();
            }
            self.shared.tracker.wakeup.wait(BETWEEN_SAVES);
        }
    }

    /// Notes a panic. Returns whether the writer gives up after it.
    fn gives_up(&mut self, panic: &Panic) -> bool {
        let now = Instant::now();
        self.panics.retain(|at| *at + GIVING_UP_WITHIN > now);
        self.panics.push(now);
        let gives_up = self.panics.len() >= GIVES_UP_AFTER;
        if gives_up {
            let (panics, dir) = (self.panics.len(), self.settings.dir.display());
            error!(
                %dir, panics, %panic,
                "the writer of the spool keeps panicking, records stay in memory until the relay is restarted"
            );
        }
        gives_up
    }
}
