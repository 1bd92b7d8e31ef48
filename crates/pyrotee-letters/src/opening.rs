//! Opens the directory of the dead letters while the relay runs, as soon as the directory can be opened.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use pyrotee_queue::{FailureLevel, FailureLog, lock};

use crate::store::{Error, Store};

/// Pause between the first and the second attempt to open the directory. The pause doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pause between the first and the second call of a gate. The pause doubles up to [`FIRST_PAUSE`].
const FIRST_GATE_PAUSE: Duration = Duration::from_millis(10);

/// Whether the directory of the dead letters is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The directory cannot be used yet; the next attempt follows within seconds.
    Waiting {
        /// Why the directory cannot be used, and what to do.
        reason: String,
        /// When the first attempt began.
        since: Instant,
    },
    /// The directory is open and in use.
    Open,
}

/// Returns `Err` with the reason while the directory must not be touched. Called before each attempt to open it.
pub type Gate = Box<dyn Fn() -> Result<(), String> + Send>;

/// The directory of a running relay, which may not be open yet.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) max_bytes: u64,
    store: OnceLock<Arc<Store>>,
    since: Instant,
    /// Why the directory is not open.
    reason: Mutex<String>,
}

impl Directory {
    pub(crate) fn closed(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            store: OnceLock::new(),
            since: tokio::time::Instant::now().into_std(),
            reason: Mutex::new("the directory is being opened".to_owned()),
        }
    }

    pub(crate) fn open(store: Arc<Store>, max_bytes: u64) -> Self {
        Self {
            store: OnceLock::from(store),
            ..Self::closed(max_bytes)
        }
    }

    /// The store of letters; `None` until the directory is open.
    pub(crate) fn store(&self) -> Option<&Arc<Store>> {
        self.store.get()
    }

    pub(crate) fn opening(&self) -> Opening {
        match self.store() {
            Some(_) => Opening::Open,
            None => Opening::Waiting {
                reason: lock(&self.reason).clone(),
                since: self.since,
            },
        }
    }
}

/// Opens a directory of letters, trying again until it succeeds.
pub(crate) struct Opener {
    pub(crate) dir: PathBuf,
    pub(crate) gate: Gate,
    pub(crate) directory: Arc<Directory>,
}

impl Opener {
    /// Tries to open the store until an attempt succeeds. Blocks; returns `None` if `stop` ends the attempts.
    pub(crate) fn run(&self, stop: &Receiver<()>) -> Option<Arc<Store>> {
        if let Some(store) = self.directory.store() {
            return Some(Arc::clone(store));
        }
        let mut log = FailureLog::default();
        let (mut gate_pause, mut pause) = (FIRST_GATE_PAUSE, FIRST_PAUSE);
        loop {
            let wait = if let Err(reason) = (self.gate)() {
                *lock(&self.directory.reason) = reason;
                let wait = gate_pause;
                gate_pause = FIRST_PAUSE.min(gate_pause * 2);
                wait
            } else {
                match Store::open(&self.dir, self.directory.max_bytes) {
                    Ok(store) => return Some(self.opened(store)),
                    Err(error) => self.failed(&error, &mut log),
                }
                let wait = pause;
                pause = LONGEST_PAUSE.min(pause * 2);
                wait
            };
            match stop.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn opened(&self, store: Store) -> Arc<Store> {
        let size = store.size();
        tracing::info!(
            dir = %self.dir.display(),
            letters = size.letters,
            bytes = size.bytes,
            "dead letters are open"
        );
        Arc::clone(self.directory.store.get_or_init(|| Arc::new(store)))
    }

    fn failed(&self, error: &Error, log: &mut FailureLog) {
        let reason = error.with_cause();
        let waited = self.directory.since.elapsed();
        match log.level(&reason, waited) {
            Some(FailureLevel::Error) => tracing::error!(
                reason,
                ?waited,
                "dead letters still cannot be opened; new ones are lost once unwritten ones take an eighth of memory-limit"
            ),
            Some(FailureLevel::Warning) => tracing::warn!(
                reason,
                "dead letters cannot be opened yet: they wait in memory, and the directory is tried again"
            ),
            None => {}
        }
        *lock(&self.directory.reason) = reason;
    }
}
