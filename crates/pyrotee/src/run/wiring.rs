//! From the configuration to the settings of each crate.

use std::sync::Arc;

use anyhow::Context;
use pyrotee_delivery::{Clock, Target};
use pyrotee_net::{Connector, Resolver, Tls};
use pyrotee_proxy::{LocalWrites, TeeSettings};
use pyrotee_queue::{Budget, Ledger, Producer, open_memory};

use crate::config::{self, Config};
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

/// The targets, with what the rest of the relay needs to know of them.
pub(super) struct Targets {
    /// What the tee offers to; `None` if remote write is disabled.
    pub(super) producer: Option<Arc<dyn Producer>>,
    pub(super) targets: Vec<Target>,
    /// The same targets, for those who watch them.
    pub(super) watched: Arc<[Watched]>,
}

impl Targets {
    /// Opens a queue for each target, if remote write is enabled.
    pub(super) fn open(config: &Config, outside: &Outside) -> anyhow::Result<Self> {
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
        let queues = configured.iter().zip(&ledgers);
        let (producer, consumers) =
            open_memory(queues.map(|(target, ledger)| (target.queue, Arc::clone(ledger))));
        let (mut targets, mut watched) = (Vec::new(), Vec::new());
        for ((target, ledger), consumer) in configured.iter().zip(ledgers).zip(consumers) {
            let (connector, clock) = (outside.connector(), Clock::system());
            let running = Target::new(&target.upload, connector, Arc::clone(&consumer), clock)
                .with_context(|| format!("failed to prepare target {}", target.upload.name))?;
            watched.push(Watched::new(target, ledger, consumer, &running));
            targets.push(running);
        }
        Ok(Self {
            producer: enabled.then_some(producer),
            targets,
            watched: watched.into(),
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
