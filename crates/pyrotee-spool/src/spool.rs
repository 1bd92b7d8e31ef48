//! A spool that is open.

use std::sync::{Arc, Mutex, mpsc};
use std::thread::{Builder, JoinHandle};

use pyrotee_queue::{Budget, Consumer, Producer, Queue};

use crate::backend::{SpoolConsumer, SpoolProducer};
use crate::book::Book;
use crate::control::{Control, PATIENCE};
use crate::counters::Counters;
use crate::format::Crc;
use crate::monitor::Monitor;
use crate::settings::{Fsync, OpenError, Settings, Target};
use crate::shared::{Intake, Live, Shared};
use crate::storage::Storage;
use crate::writer::Writer;
use crate::{reader, recovery};

/// The two sides of a spool, and what watches over it.
///
/// When producer, consumers and leases are gone, what is left is written and the spool closes by itself.
#[derive(Debug)]
pub struct Spool {
    /// For all targets.
    pub producer: Arc<dyn Producer>,
    /// One for each target, in their order.
    pub consumers: Vec<Arc<dyn Consumer>>,
    /// What can be seen.
    pub monitor: Monitor,
    /// What can be done to it by hand.
    pub control: Control,
    /// Who closes it.
    pub keeper: Keeper,
}

/// Closes a spool in time for the end of the process.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
}

impl Keeper {
    /// Refuses new records, writes what waits, saves the cursors and releases the directory. Blocks
    /// until that is done. What is settled later is not noted, and comes again.
    pub fn close(self) {
        self.shared.stop();
        // A writer that panicked has nothing left to write.
        drop(self.writer.join());
    }
}

/// Opens a spool in `storage`.
pub(crate) fn start(
    settings: Settings,
    storage: Arc<dyn Storage>,
    targets: Vec<Target>,
    budget: &Arc<Budget>,
) -> Result<Spool, OpenError> {
    let remains = recovery::read(&*storage, &settings)?;
    let (salt, cursors) = (remains.salt, (remains.cursors.generation, remains.slot));
    let book = Arc::new(Book::new(settings.save_every, settings.rest));
    let counters = Counters::default();
    let names: Vec<_> = targets.iter().map(|(name, ..)| name.clone()).collect();
    let queues = targets
        .into_iter()
        .map(|(_, limits, ledger)| Queue::new(limits, ledger));
    let queues: Vec<_> = queues.map(Arc::new).collect();
    let (next, names) = recovery::adopt(remains, &names, &queues, &book, &counters);
    let shared = Arc::new(Shared {
        intake: Mutex::new(Intake::new(next)),
        queues,
        book,
        budget: Arc::clone(budget),
        counters,
        longest_record: settings.longest_record(),
        promises: settings.fsync == Fsync::Always,
    });
    let monitor = Monitor {
        shared: Arc::clone(&shared),
        max_bytes: settings.max_bytes,
    };
    let control = Control {
        shared: Arc::clone(&shared),
        storage: Arc::downgrade(&storage),
        crc: Crc::salted(salt),
        max_bytes: settings.max_bytes,
        patience: PATIENCE,
        replay: Arc::default(),
    };
    let dir = settings.dir.clone();
    let failed = |source| OpenError::Io { dir, source };
    let (reader, requests) = mpsc::channel();
    let live = Arc::new(Live {
        shared: Arc::clone(&shared),
        reader,
    });
    let threads = || {
        let (reads, crc) = (Arc::clone(&shared), Crc::salted(salt));
        Builder::new()
            .name("spool-read".to_owned())
            .spawn(move || reader::run(&requests, &reads, crc))?;
        let writer = Writer::new(Arc::clone(&shared), storage, settings, salt, names, cursors);
        Builder::new()
            .name("spool-write".to_owned())
            .spawn(move || writer.run())
    };
    let writer = threads().map_err(failed)?;
    let consumer = |queue| Arc::new(SpoolConsumer::new(Arc::clone(&live), queue)) as _;
    Ok(Spool {
        consumers: shared.queues.iter().map(Arc::clone).map(consumer).collect(),
        producer: Arc::new(SpoolProducer(live)),
        monitor,
        control,
        keeper: Keeper { shared, writer },
    })
}
