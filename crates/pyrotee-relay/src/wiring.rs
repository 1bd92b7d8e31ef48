//! Builds the parts of the relay from the configuration: for each target a queue, its deliverer, and the view of both.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use pyrotee_admin::{OpenSpool, TargetView};
use pyrotee_config::{Config, Spool};
use pyrotee_delivery::{DeadLetterSink, Deliverer, WallClock};
use pyrotee_letters::{DeadLetters, Gate, Monitor, Writer};
use pyrotee_net::ConnectionCounts;
use pyrotee_queue::{Budget, Consumer, Ledger, Producer, Supervisor, open_memory};
use pyrotee_spool::{Closer, Opening};

use super::outside::Outside;
use super::settings;

/// The targets, with the handles through which the rest of the relay uses them.
pub(super) struct Targets {
    /// Takes the records that the tee offers; `None` if remote write is disabled.
    pub(super) producer: Option<Arc<dyn Producer>>,
    pub(super) deliverers: Vec<Deliverer>,
    /// The targets as metrics, status and admin actions see them, in the order of `deliverers`.
    pub(super) views: Arc<[TargetView]>,
    /// Counts of the connections to the targets, in the same order.
    pub(super) connections: Vec<ConnectionCounts>,
    /// The spool and the handle that closes it; `None` if queues are in memory only.
    pub(super) spool: Option<(OpenSpool, Closer)>,
    /// Monitor and writer of the dead letters; `None` if rejected profiles are not kept.
    pub(super) dead_letters: Option<(Monitor, Writer)>,
}

impl Targets {
    /// Opens a queue for each target, if remote write is enabled.
    pub(super) fn open(
        config: &Config,
        outside: &Outside,
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
    ) -> anyhow::Result<Self> {
        let enabled = config.remote_write.enabled;
        let configured: &[pyrotee_config::Target] = if enabled {
            &config.remote_write.targets
        } else {
            &[]
        };
        let ledgers: Vec<_> = configured
            .iter()
            .map(|_| Arc::new(Ledger::default()))
            .collect();
        let Queues {
            producer,
            consumers,
            spool,
        } = Queues::open(config, configured, &ledgers, budget, supervisor)?;
        let letters = config.dead_letters.as_ref();
        let letters = letters.filter(|_| !configured.is_empty());
        let letters = letters.map(|it| {
            let spool = config.spool.as_ref().zip(spool.as_ref());
            let gate = letters_gate(&it.dir, spool.map(|(its, open)| (its, &open.0.monitor)));
            let settings = settings::dead_letters(it, config.memory_limit, supervisor);
            DeadLetters::start(settings, gate)
        });
        let letters = letters
            .transpose()
            .context("failed to start the thread of the dead letters")?;
        let (sink, dead_letters) = match letters {
            Some(open) => (open.sink, Some((open.monitor, open.writer))),
            None => (DeadLetterSink::disabled(), None),
        };
        let (mut deliverers, mut views, mut connections) = (Vec::new(), Vec::new(), Vec::new());
        for ((target, ledger), consumer) in configured.iter().zip(ledgers).zip(consumers) {
            let (connector, clock) = (outside.connector(), WallClock::system());
            let (feed, sink) = (Arc::clone(&consumer), sink.clone());
            let deliverer = Deliverer::new(
                &settings::delivery(target),
                connector,
                feed,
                clock,
                sink,
                supervisor.clone(),
            )
            .with_context(|| format!("failed to prepare target {}", target.name))?;
            connections.push(deliverer.connections().clone());
            views.push(TargetView {
                name: target.name.clone(),
                address: target.address.to_string(),
                tenant: target.tenant.clone(),
                workers: target.queue_workers,
                limits: settings::limits(target),
                ledger,
                consumer,
                monitor: deliverer.monitor(),
            });
            deliverers.push(deliverer);
        }
        Ok(Self {
            producer: enabled.then_some(producer),
            deliverers,
            views: views.into(),
            connections,
            spool,
            dead_letters,
        })
    }
}

/// Dead letters within the directory of the spool wait until the spool is open: before that the directory may be
/// missing, or may belong to another relay.
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

/// A queue for each target, in memory or on disk.
struct Queues {
    producer: Arc<dyn Producer>,
    consumers: Vec<Arc<dyn Consumer>>,
    spool: Option<(OpenSpool, Closer)>,
}

impl Queues {
    fn open(
        config: &Config,
        targets: &[pyrotee_config::Target],
        ledgers: &[Arc<Ledger>],
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
    ) -> anyhow::Result<Self> {
        let queues = targets.iter().zip(ledgers);
        let Some(spool) = config.spool.as_ref().filter(|_| !targets.is_empty()) else {
            let queues =
                queues.map(|(target, ledger)| (settings::limits(target), Arc::clone(ledger)));
            let (producer, consumers) = open_memory(queues);
            return Ok(Self {
                producer,
                consumers,
                spool: None,
            });
        };
        let queues = queues.map(|(target, ledger)| {
            let limits = settings::limits(target);
            (target.name.clone(), limits, Arc::clone(ledger))
        });
        let settings = settings::spool(spool, config.memory_limit, supervisor);
        let opened = settings.start(queues, budget);
        let open = OpenSpool {
            dir: spool.dir.clone(),
            monitor: opened.monitor,
            control: opened.control,
        };
        Ok(Self {
            producer: opened.producer,
            consumers: opened.consumers,
            spool: Some((open, opened.closer)),
        })
    }
}
