//! Starting and closing a spool.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::Builder;
use std::time::Instant;

use arc_swap::ArcSwap;
use pyrotee_queue::{Budget, OpenQueue, Part, Producer, Registry, TargetQueue};
use pyrotee_segments::{Disk, Storage};
use tracing::error;

use crate::backend::SpoolProducer;
use crate::control::{Control, ROOM_TIMEOUT};
use crate::counters::Counters;
use crate::intake::Intake;
use crate::lifecycle::EndGuard;
use crate::lives::Lives;
use crate::monitor::Monitor;
use crate::opener::Opener;
use crate::read_trouble::ReadTrouble;
use crate::reader::{self, ReaderRequest, RunningSpool};
use crate::registry::SpoolRegistry;
use crate::settings::{Fsync, Settings};
use crate::shared::Shared;
use crate::tracker::{PROVISIONAL, SettlementTracker};

/// A running spool: both sides of its queues, and handles to observe, control and close it.
///
/// When producer, registry, queues and leases are dropped, the spool writes the remaining records and closes itself.
#[derive(Debug)]
pub struct OpenSpool {
    /// Takes records in, for all targets.
    pub producer: Arc<dyn Producer>,
    /// Changes the list of targets, whether the directory is open or not.
    pub registry: Arc<dyn Registry>,
    /// The queues of the first list, in its order.
    pub queues: Vec<OpenQueue>,
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
    /// Refuses new records, writes the remaining ones, saves the cursors and unlocks the directory. Blocks until the
    /// writer thread has ended. `false`: the thread had not ended at `deadline` and is left running, because a disk may
    /// hang for ever. Records that are settled after the close are delivered again by the next process.
    pub fn close(self, deadline: Instant) -> bool {
        self.shared.stop();
        let now = tokio::time::Instant::now().into_std();
        let timeout = deadline.saturating_duration_since(now);
        self.shared.lifecycle.wait_until_ended(timeout)
    }
}

impl Settings {
    /// Starts a spool with these targets. Their queues take records at once, in memory; [`Monitor::opening`] tells
    /// whether the directory is open. Records that are read back are charged to `budget`.
    pub fn start(
        self,
        targets: impl IntoIterator<Item = TargetQueue>,
        budget: &Arc<Budget>,
    ) -> OpenSpool {
        let storage = Arc::new(Disk::new(&self.dir));
        let targets: Vec<_> = targets.into_iter().collect();
        start_in(self, storage, &targets, budget)
    }
}

/// Starts a spool in `storage`.
pub(crate) fn start_in(
    settings: Settings,
    storage: Arc<dyn Storage>,
    targets: &[TargetQueue],
    budget: &Arc<Budget>,
) -> OpenSpool {
    let tracker = SettlementTracker::new(settings.save_every, settings.min_sleep);
    let shared = Arc::new(Shared {
        names: Mutex::default(),
        intake: Mutex::new(Intake::new(PROVISIONAL)),
        queues: ArcSwap::default(),
        tracker: Arc::new(tracker),
        budget: Arc::clone(budget),
        counters: Counters::default(),
        lifecycle: Arc::default(),
        crc: OnceLock::new(),
        read_trouble: ReadTrouble::new(settings.read_again_after),
        clock: settings.clock.clone(),
        supervisor: settings.supervisor.clone(),
        lives: Lives::new(settings.short_life, settings.trial),
        longest_record: settings.longest_record(),
        receipts_promise_disk: settings.fsync == Fsync::Always,
    });
    let monitor = Monitor {
        shared: Arc::clone(&shared),
        max_bytes: settings.max_bytes,
    };
    let (reader, requests) = mpsc::channel();
    let running = Arc::new(RunningSpool {
        shared: Arc::clone(&shared),
        reader,
    });
    let control = Control {
        shared: Arc::clone(&shared),
        storage: Arc::downgrade(&storage),
        running: Arc::downgrade(&running),
        max_bytes: settings.max_bytes,
        room_timeout: ROOM_TIMEOUT,
        progress: Arc::default(),
    };
    let registry = SpoolRegistry(Arc::clone(&running));
    let queues = registry.put_in_force(targets);
    let opener = Opener {
        shared: Arc::clone(&shared),
        storage,
        settings,
    };
    if let Err(error) = start_threads(requests, opener) {
        let reason = format!("failed to start a thread: {error}; raise the limit of threads");
        error!(reason, "spool is not open, records stay in memory");
        shared.lifecycle.set_waiting(&reason);
    }
    OpenSpool {
        registry: Arc::new(registry),
        queues,
        producer: Arc::new(SpoolProducer(running)),
        monitor,
        control,
        closer: Closer { shared },
    }
}

/// Starts the reader thread, and the writer thread, which opens the directory before it writes.
fn start_threads(requests: mpsc::Receiver<ReaderRequest>, opener: Opener) -> io::Result<()> {
    let shared = Arc::clone(&opener.shared);
    let guard = EndGuard(Arc::clone(&shared.lifecycle));
    Builder::new()
        .name(Part::SpoolRead.as_str().to_owned())
        .spawn(move || reader::run(&requests, &shared))?;
    Builder::new()
        .name(Part::SpoolWrite.as_str().to_owned())
        .spawn(move || {
            let _guard = guard;
            opener.run();
        })?;
    Ok(())
}
