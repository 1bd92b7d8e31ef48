//! Opens what the targets of the relay share: the queues, in memory, on disk or on NATS, and the dead letters.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use pyrotee_admin::{DegradableParts, DiskPart, OpenSpool, SharedBacklog};
use pyrotee_config::{Config, Spool, Target};
use pyrotee_delivery::DeadLetterSink;
use pyrotee_letters::{DeadLetters, Gate, Monitor, Writer};
use pyrotee_queue::{Budget, OpenQueue, Producer, Registry, Supervisor, TargetQueue, open_memory};
use pyrotee_spool::{Closer, Opening};

use crate::outside::Outside;
use crate::settings;
use crate::shared::{self, Shared, SpoolDrain};
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
    /// The backlog that other relays share; `None` if queues are for this relay only.
    pub(crate) shared: Option<Shared>,
    /// Delivers the profiles of the spool of an earlier configuration, which `spool` is then.
    pub(crate) former: Option<SpoolDrain>,
}

impl Queues {
    /// Opens a queue for each of `targets`; on disk if there are some and a spool is configured, and with a shared backlog if
    /// that is configured.
    ///
    /// # Errors
    /// A spool of an earlier configuration has profiles, or a file of `shared` cannot be used.
    pub(crate) fn open(
        config: &Config,
        targets: &[Target],
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
        outside: &Outside,
    ) -> anyhow::Result<Self> {
        if let Some(shared) = config.shared.as_ref().filter(|_| !targets.is_empty()) {
            return Self::shared(config, shared, targets, budget, supervisor, outside);
        }
        let queues = targets.iter().map(|target| target_queue(target, None));
        Ok(
            match config.spool.as_ref().filter(|_| !targets.is_empty()) {
                Some(spool) => {
                    Self::on_disk(spool, config.memory_limit, queues, budget, supervisor)
                }
                None => Self::in_memory(queues),
            },
        )
    }

    fn shared(
        config: &Config,
        shared: &pyrotee_config::Shared,
        targets: &[Target],
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
        outside: &Outside,
    ) -> anyhow::Result<Self> {
        let drained = shared.drain_spool.as_deref();
        shared::check_former(drained, config.dead_letters.as_ref())?;
        let survey = drained.and_then(shared::drain_former);
        let queues = targets.iter();
        let queues = queues.map(|target| target_queue(target, Some(shared.max_bytes)));
        let (opened, shared) = shared::open(shared, queues, budget, supervisor, outside)?;
        let producer = Arc::downgrade(&opened.producer);
        let former = drained.zip(survey).map(|(dir, survey)| {
            SpoolDrain::open(dir, &survey, targets, producer, budget, supervisor)
        });
        let (former, spool) = former
            .map(|(drain, spool, closer)| (drain, (spool, closer)))
            .unzip();
        Ok(Self {
            producer: opened.producer,
            registry: opened.registry,
            queues: opened.queues,
            spool,
            shared: Some(shared),
            former,
        })
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
            shared: None,
            former: None,
        }
    }

    fn in_memory(targets: impl Iterator<Item = TargetQueue>) -> Self {
        let opened = open_memory(targets);
        Self {
            producer: opened.producer,
            registry: opened.registry,
            queues: opened.queues,
            spool: None,
            shared: None,
            former: None,
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
        let gate = letters_gate(&letters.dir, spool);
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
fn letters_gate(dir: &Path, spool: Option<&OpenSpool>) -> Gate {
    match spool {
        Some(spool) if dir.starts_with(&spool.dir) => {
            let monitor = spool.monitor.clone();
            Box::new(move || match monitor.opening() {
                Opening::Open => Ok(()),
                _ => Err("their directory is in the spool, which is not open yet".to_owned()),
            })
        }
        _ => Box::new(|| Ok(())),
    }
}

/// The spool, the dead letters and the shared backlog of the status page, with their directories.
pub(crate) fn degradable_parts(
    config: &Config,
    spool: Option<&OpenSpool>,
    dead_letters: Option<Monitor>,
    shared: Option<Arc<dyn SharedBacklog>>,
) -> DegradableParts {
    let letters = config.dead_letters.as_ref().zip(dead_letters);
    DegradableParts {
        spool: spool.map(|open| DiskPart {
            dir: open.dir.clone(),
            monitor: open.monitor.clone(),
        }),
        shared,
        dead_letters: letters.map(|(settings, monitor)| DiskPart {
            dir: settings.dir.clone(),
            monitor,
        }),
    }
}
