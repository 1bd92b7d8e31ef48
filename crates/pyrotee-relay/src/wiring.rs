//! Opens what the targets of the relay share: the queues, in memory or on disk, and the dead letters.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use pyrotee_admin::{DegradableParts, DiskPart, OpenSpool};
use pyrotee_config::{Config, Spool, Target};
use pyrotee_delivery::DeadLetterSink;
use pyrotee_letters::{DeadLetters, Gate, Monitor, Writer};
use pyrotee_queue::{Budget, OpenQueue, Producer, Registry, Supervisor, TargetQueue, open_memory};
use pyrotee_spool::{Closer, Opening};

use crate::settings;
use crate::targets::target_queue;

/// The queues of the targets.
pub(crate) struct Queues {
    /// Takes the records that the tee offers.
    pub(crate) producer: Arc<dyn Producer>,
    /// Changes the list of targets.
    pub(crate) registry: Arc<dyn Registry>,
    /// The queues of the first targets, in their order.
    pub(crate) queues: Vec<OpenQueue>,
    /// The spool and the handle that closes it; `None` if queues are in memory only.
    pub(crate) spool: Option<(OpenSpool, Closer)>,
}

impl Queues {
    /// Opens a queue for each of `targets`, on disk if there are some and a spool is configured.
    pub(crate) fn open(
        config: &Config,
        targets: &[Target],
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
    ) -> Self {
        let queues = targets.iter().map(target_queue);
        match config.spool.as_ref().filter(|_| !targets.is_empty()) {
            Some(spool) => Self::on_disk(spool, config.memory_limit, queues, budget, supervisor),
            None => Self::in_memory(queues),
        }
    }

    fn on_disk(
        spool: &Spool,
        memory_limit: u64,
        queues: impl Iterator<Item = TargetQueue>,
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
    ) -> Self {
        let opened = settings::spool(spool, memory_limit, supervisor).start(queues, budget);
        let open = OpenSpool {
            dir: spool.dir.clone(),
            monitor: opened.monitor,
            control: opened.control,
        };
        Self {
            producer: opened.producer,
            registry: opened.registry,
            queues: opened.queues,
            spool: Some((open, opened.closer)),
        }
    }

    fn in_memory(targets: impl Iterator<Item = TargetQueue>) -> Self {
        let opened = open_memory(targets);
        Self {
            producer: opened.producer,
            registry: opened.registry,
            queues: opened.queues,
            spool: None,
        }
    }
}

/// The dead letters.
pub(crate) struct Letters {
    /// Takes the records that a target rejects.
    pub(crate) sink: DeadLetterSink,
    /// Monitor and writer; `None` if rejected profiles are not kept.
    pub(crate) open: Option<(Monitor, Writer)>,
}

impl Letters {
    /// Starts to keep dead letters, if that is configured and there are targets.
    pub(crate) fn open(
        config: &Config,
        spool: Option<&OpenSpool>,
        supervisor: &Supervisor,
    ) -> anyhow::Result<Self> {
        let letters = config.dead_letters.as_ref();
        let Some(letters) = letters.filter(|_| config.remote_write.enabled) else {
            return Ok(Self {
                sink: DeadLetterSink::disabled(),
                open: None,
            });
        };
        let spool = config.spool.as_ref().zip(spool);
        let gate = letters_gate(
            &letters.dir,
            spool.map(|(settings, open)| (settings, &open.monitor)),
        );
        let settings = settings::dead_letters(letters, config.memory_limit, supervisor);
        let started = DeadLetters::start(settings, gate)
            .context("failed to start the thread of the dead letters")?;
        Ok(Self {
            sink: started.sink,
            open: Some((started.monitor, started.writer)),
        })
    }
}

/// Dead letters in the directory of the spool wait until the spool is open: before that the directory may be missing, or
/// belong to another relay.
fn letters_gate(dir: &Path, spool: Option<(&Spool, &pyrotee_spool::Monitor)>) -> Gate {
    match spool {
        Some((spool, monitor)) if dir.starts_with(&spool.dir) => {
            let monitor = monitor.clone();
            Box::new(move || match monitor.opening() {
                Opening::Open => Ok(()),
                _ => Err("their directory is in the spool, which is not open yet".to_owned()),
            })
        }
        _ => Box::new(|| Ok(())),
    }
}

/// The spool and the dead letters of the status page, with their directories.
pub(crate) fn degradable_parts(
    config: &Config,
    spool: Option<pyrotee_spool::Monitor>,
    dead_letters: Option<Monitor>,
) -> DegradableParts {
    let spool = config.spool.as_ref().zip(spool);
    let letters = config.dead_letters.as_ref().zip(dead_letters);
    DegradableParts {
        spool: spool.map(|(settings, monitor)| DiskPart {
            dir: settings.dir.clone(),
            monitor,
        }),
        dead_letters: letters.map(|(settings, monitor)| DiskPart {
            dir: settings.dir.clone(),
            monitor,
        }),
    }
}
