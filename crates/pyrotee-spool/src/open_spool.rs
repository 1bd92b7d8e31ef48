//! Opening and closing a spool.

use std::sync::{Arc, Mutex, mpsc};
use std::thread::Builder;
use std::time::Instant;

use pyrotee_queue::{Budget, Consumer, Producer, Queue};

use crate::backend::{SpoolConsumer, SpoolProducer};
use crate::control::{Control, ROOM_TIMEOUT};
use crate::counters::Counters;
use crate::format::Crc;
use crate::lifecycle::EndGuard;
use crate::monitor::Monitor;
use crate::read_trouble::ReadTrouble;
use crate::settings::{Fsync, OpenError, Settings, TargetQueue};
use crate::shared::{Intake, RunningSpool, Shared};
use crate::storage::Storage;
use crate::tracker::SettlementTracker;
use crate::writer::Writer;
use crate::{reader, recovery};

/// An open spool: both sides of its queues, and handles to observe, control and close it.
///
/// When producer, consumers and leases are dropped, the spool writes the remaining records and closes itself.
#[derive(Debug)]
pub struct OpenSpool {
    /// Takes records in, for all targets.
    pub producer: Arc<dyn Producer>,
    /// Gives records out. One per target, in the order of the targets.
    pub consumers: Vec<Arc<dyn Consumer>>,
    /// Reads gauges and counters.
    pub monitor: Monitor,
    /// Runs an operator's commands.
    pub control: Control,
    /// Closes the spool.
    pub closer: Closer,
}

/// Closes a spool before the process ends.
#[derive(Debug)]
pub struct Closer {
    shared: Arc<Shared>,
}

impl Closer {
    /// Refuses new records, writes the remaining ones, saves the cursors and unlocks the directory. Blocks
    /// until that is done, or until `deadline`: `false`, and the thread that writes is left behind, because a disk may
    /// hang for ever. Records that are settled afterwards are delivered again by the next process.
    pub fn close(self, deadline: Instant) -> bool {
        self.shared.stop();
        let now = tokio::time::Instant::now().into_std();
        let timeout = deadline.saturating_duration_since(now);
        self.shared.lifecycle.wait_until_ended(timeout)
    }
}

/// Opens the spool in `storage`.
pub(crate) fn open_in(
    settings: Settings,
    storage: Arc<dyn Storage>,
    targets: Vec<TargetQueue>,
    budget: &Arc<Budget>,
) -> Result<OpenSpool, OpenError> {
    let recovered = recovery::read(&*storage, &settings)?;
    let (salt, cursors) = (
        recovered.salt,
        (recovered.cursors.generation, recovered.slot),
    );
    let steps = recovered.cursors.steps.clone();
    let tracker = SettlementTracker::new(settings.save_every, settings.min_sleep);
    let tracker = Arc::new(tracker);
    let counters = Counters::default();
    let names: Vec<_> = targets.iter().map(|(name, ..)| name.clone()).collect();
    let queues = targets
        .into_iter()
        .map(|(_, limits, ledger)| Queue::with_clock(limits, ledger, settings.clock.clone()));
    let queues: Vec<_> = queues.map(Arc::new).collect();
    for queue in &queues {
        queue.limit_records(false);
    }
    let (next, names) = recovery::adopt(recovered, &names, &queues, &tracker, &counters);
    let shared = Arc::new(Shared {
        intake: Mutex::new(Intake::new(next)),
        queues,
        tracker,
        budget: Arc::clone(budget),
        counters,
        lifecycle: Arc::default(),
        read_trouble: ReadTrouble::new(settings.read_again_after),
        clock: settings.clock.clone(),
        longest_record: settings.longest_record(),
        receipts_promise_disk: settings.fsync == Fsync::Always,
    });
    shared.count_unread();
    let monitor = Monitor {
        shared: Arc::clone(&shared),
        max_bytes: settings.max_bytes,
    };
    let control = Control {
        shared: Arc::clone(&shared),
        storage: Arc::downgrade(&storage),
        crc: Crc::salted(salt),
        max_bytes: settings.max_bytes,
        room_timeout: ROOM_TIMEOUT,
        progress: Arc::default(),
    };
    let dir = settings.dir.clone();
    let failed = |source| OpenError::Io { dir, source };
    let (reader, requests) = mpsc::channel();
    let running = Arc::new(RunningSpool {
        shared: Arc::clone(&shared),
        reader,
    });
    let threads = || {
        let (reads, crc) = (Arc::clone(&shared), Crc::salted(salt));
        Builder::new()
            .name("spool-read".to_owned())
            .spawn(move || reader::run(&requests, &reads, crc))?;
        let writer = Writer::new(
            Arc::clone(&shared),
            storage,
            settings,
            salt,
            names,
            cursors,
            steps,
        );
        let guard = EndGuard(Arc::clone(&shared.lifecycle));
        Builder::new()
            .name("spool-write".to_owned())
            .spawn(move || {
                let _guard = guard;
                writer.run();
            })
    };
    threads().map_err(failed)?;
    shared.lifecycle.set_open();
    let consumer = |(target, queue): (usize, &Arc<_>)| -> Arc<dyn Consumer> {
        let running = Arc::clone(&running);
        Arc::new(SpoolConsumer::new(running, target, Arc::clone(queue)))
    };
    Ok(OpenSpool {
        consumers: shared.queues.iter().enumerate().map(consumer).collect(),
        producer: Arc::new(SpoolProducer(running)),
        monitor,
        control,
        closer: Closer { shared },
    })
}
