//! From the configuration to the settings of each crate.

use std::sync::Arc;

use anyhow::Context;
use pyrotee_delivery::Target;
use pyrotee_net::{Connector, Resolver, Tls};
use pyrotee_proxy::{LocalWrites, TeeSettings};
use pyrotee_queue::{Budget, Consumer, Ledger, Limits, Producer, open_memory};

use crate::config::{self, Config};
use crate::telemetry::{TargetLabels, TargetSeries};

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
    pub(super) series: Vec<TargetSeries>,
    /// The account of each target, by its name.
    pub(super) accounts: Vec<(String, Arc<Ledger>)>,
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
        let accounts: Vec<_> = configured
            .iter()
            .map(|target| (target.name.clone(), Arc::new(Ledger::default())))
            .collect();
        let queues = configured.iter().zip(&accounts);
        let (producer, consumers) =
            open_memory(queues.map(|(target, (_, ledger))| (limits(target), Arc::clone(ledger))));
        let mut opened = Self {
            producer: enabled.then_some(producer),
            targets: Vec::new(),
            series: Vec::new(),
            accounts,
        };
        for (target, consumer) in configured.iter().zip(consumers) {
            opened.add(target, consumer, outside)?;
        }
        Ok(opened)
    }

    fn add(
        &mut self,
        target: &config::Target,
        consumer: Arc<dyn Consumer>,
        outside: &Outside,
    ) -> anyhow::Result<()> {
        let account = self.accounts.iter().find(|(name, _)| *name == target.name);
        let (_, ledger) = account.context("every target has an account")?;
        let running = Target::new(
            &settings(target),
            outside.connector(),
            Arc::clone(&consumer),
        )
        .with_context(|| format!("failed to prepare target {}", target.name))?;
        let labels = TargetLabels {
            name: &target.name,
            address: &target.address.to_string(),
            tenant: target.tenant.as_deref().unwrap_or_default(),
        };
        self.series.push(TargetSeries::new(
            &labels,
            &limits(target),
            target.queue_workers,
            Arc::clone(ledger),
            consumer,
            running.links().clone(),
        ));
        self.targets.push(running);
        Ok(())
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

fn limits(target: &config::Target) -> Limits {
    Limits {
        records: target.queue_size,
        bytes: target.queue_bytes,
        when_full: target.on_full,
    }
}

fn settings(target: &config::Target) -> pyrotee_delivery::Settings {
    pyrotee_delivery::Settings {
        name: target.name.clone(),
        address: target.address.clone(),
        credentials: target.credentials.clone(),
        tenant: target.tenant.clone(),
        headers: target.headers.clone(),
        tags: target.tags.clone(),
        timeout: target.timeout,
        workers: target.queue_workers,
    }
}
