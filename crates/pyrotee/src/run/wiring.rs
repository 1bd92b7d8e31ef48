//! From the configuration to the settings of each crate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pyrotee_delivery::{Clock, Refusals, Target};
use pyrotee_net::{Connector, Resolver, Tls};
use pyrotee_proxy::{LocalWrites, TeeSettings};
use pyrotee_queue::{Budget, Consumer, Ledger, Producer, open_memory};
use pyrotee_spool::{Closer, Fsync};

use crate::admin::Spool;
use crate::config::{self, Config, FsyncPolicy};
use crate::dead_letters::{self, Kept, Writer};
use crate::telemetry::Watched;

/// How the relay reaches others: one cache of names and one set of roots for all.
#[derive(Debug)]
pub(super) struct Outside {
    resolver: Resolver,
    tls: Tls,
}

impl Outside {
    pub(super) fn open() -> anyhow::Result<Self> {
        Ok(Self {
            resolver: Resolver::system().context("failed to read the resolver configuration")?,
            tls: Tls::system().context("failed to prepare https")?,
        })
    }

    fn connector(&self) -> Connector {
        Connector::new(&self.resolver, &self.tls)
    }
}

/// How long what was written may wait for the disk with `fsync: interval`.
const FSYNC_AFTER: Duration = Duration::from_millis(100);

/// Most bytes of memory for what the spool knows of profiles on disk: some 250,000 of one target.
const MOST_INDEX: u64 = 64 * 1024 * 1024;

/// Records that wait to be written as dead letters stay charged to the memory limit: a part of it, so
/// that a slow disk does not take all of it from the targets.
const WAITING_LETTERS: u64 = 8;

/// The targets, with what the rest of the relay needs to know of them.
pub(super) struct Targets {
    /// What the tee offers to; `None` if remote write is disabled.
    pub(super) producer: Option<Arc<dyn Producer>>,
    pub(super) targets: Vec<Target>,
    /// The same targets, for those who watch them.
    pub(super) watched: Arc<[Watched]>,
    /// The spool, if profiles wait on disk: what can be seen and done, and who closes it.
    pub(super) spool: Option<(Spool, Closer)>,
    /// Where profiles are kept that a target refused, if they are: the same two.
    pub(super) dead_letters: Option<(dead_letters::Monitor, Writer)>,
}

impl Targets {
    /// Opens a queue for each target, if remote write is enabled.
    pub(super) fn open(
        config: &Config,
        outside: &Outside,
        budget: &Arc<Budget>,
    ) -> anyhow::Result<Self> {
        let enabled = config.remote_write.enabled;
        let configured: &[config::Target] = if enabled {
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
        } = Queues::open(config, configured, &ledgers, budget)?;
        let letters = config.dead_letters.as_ref();
        let letters = letters.filter(|_| !configured.is_empty());
        let most_waiting = config.memory_limit / WAITING_LETTERS;
        let letters = letters.map(|letters| Kept::open(letters, most_waiting));
        let letters = letters
            .transpose()
            .context("failed to open the dead letters")?;
        let (refusals, dead_letters) = match letters {
            Some(kept) => (kept.refusals, Some((kept.monitor, kept.writer))),
            None => (Refusals::unheard(), None),
        };
        let (mut targets, mut watched) = (Vec::new(), Vec::new());
        for ((target, ledger), consumer) in configured.iter().zip(ledgers).zip(consumers) {
            let (connector, clock) = (outside.connector(), Clock::system());
            let (feed, refusals) = (Arc::clone(&consumer), refusals.clone());
            let running = Target::new(&target.upload, connector, feed, clock, refusals)
                .with_context(|| format!("failed to prepare target {}", target.upload.name))?;
            watched.push(Watched::new(target, ledger, consumer, &running));
            targets.push(running);
        }
        Ok(Self {
            producer: enabled.then_some(producer),
            targets,
            watched: watched.into(),
            spool,
            dead_letters,
        })
    }
}

/// A queue for each target, in memory or on disk.
struct Queues {
    producer: Arc<dyn Producer>,
    consumers: Vec<Arc<dyn Consumer>>,
    spool: Option<(Spool, Closer)>,
}

impl Queues {
    fn open(
        config: &Config,
        targets: &[config::Target],
        ledgers: &[Arc<Ledger>],
        budget: &Arc<Budget>,
    ) -> anyhow::Result<Self> {
        let queues = targets.iter().zip(ledgers);
        let Some(spool) = config.spool.as_ref().filter(|_| !targets.is_empty()) else {
            let queues = queues.map(|(target, ledger)| (target.queue, Arc::clone(ledger)));
            let (producer, consumers) = open_memory(queues);
            return Ok(Self {
                producer,
                consumers,
                spool: None,
            });
        };
        let settings = pyrotee_spool::Settings {
            max_bytes: spool.max_bytes,
            segment_bytes: spool.segment_bytes,
            index_bytes: MOST_INDEX.min(config.memory_limit / 4),
            fsync: match spool.fsync {
                FsyncPolicy::Always => Fsync::Always,
                FsyncPolicy::Interval => Fsync::Interval(FSYNC_AFTER),
                FsyncPolicy::Never => Fsync::Never,
            },
            ..pyrotee_spool::Settings::new(&spool.dir)
        };
        let queues = queues
            .map(|(target, ledger)| (target.upload.name.clone(), target.queue, Arc::clone(ledger)));
        let opened = settings
            .open(queues, budget)
            .context("failed to start the spool")?;
        let stats = opened.monitor.stats();
        tracing::info!(
            dir = %spool.dir.display(),
            bytes = stats.bytes,
            recovered = stats.recovered,
            corrupt = stats.corrupt_records,
            "spool is open"
        );
        let seen = Spool {
            dir: spool.dir.clone(),
            monitor: opened.monitor,
            control: opened.control,
        };
        Ok(Self {
            producer: opened.producer,
            consumers: opened.consumers,
            spool: Some((seen, opened.closer)),
        })
    }
}

/// What the request path gets.
pub(super) fn proxy(
    config: &Config,
    producer: Option<Arc<dyn Producer>>,
    budget: &Arc<Budget>,
    outside: &Outside,
) -> pyrotee_proxy::Settings {
    let upstream = config
        .upstream
        .as_ref()
        .map(|upstream| pyrotee_proxy::Upstream {
            origin: upstream.address.origin(),
            connector: outside.connector(),
            timeout: upstream.timeout,
            forwarded_headers: upstream.forwarded_headers,
        });
    let local_writes = match producer {
        Some(_) => config.remote_write.local_writes,
        None => LocalWrites::Forward,
    };
    let tee = producer.map(|producer| TeeSettings {
        max_body: config.tee.max_body,
        on: config.tee.on,
        duplicates: config.tee.duplicates,
        budget: Arc::clone(budget),
        producer,
    });
    pyrotee_proxy::Settings {
        listen: config.listen,
        upstream,
        local_writes,
        tee,
    }
}
