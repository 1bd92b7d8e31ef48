//! The parts of a running relay that a new configuration changes.

use std::sync::Arc;
use std::time::Duration;

use pyrotee_admin::json::reload::TargetChangeJson;
use pyrotee_admin::{AdminTls, Guard, Hosts};
use pyrotee_config::{Config, Target};
use pyrotee_net::server::TlsAcceptor;
use pyrotee_proxy::{LocalWrites, PolicyHandle, UpstreamTlsHandle};
use pyrotee_queue::Budget;
use tokio::sync::watch;

use crate::scraping::Scraping;
use crate::settings;
use crate::targets::Targets;
use crate::telemetry::LogLevelHandle;

/// The parts of a running relay that a new configuration changes.
#[derive(Debug)]
pub(crate) struct ReloadableParts {
    pub(crate) targets: Arc<Targets>,
    pub(crate) policy: PolicyHandle,
    pub(crate) scraping: Scraping,
    pub(crate) budget: Arc<Budget>,
    pub(crate) guard: Guard,
    pub(crate) hosts: Hosts,
    /// TLS of the admin listener, which only a restart turns on or off.
    pub(crate) admin_tls: Option<AdminTls>,
    pub(crate) log_level: LogLevelHandle,
    /// TLS of the clients' listener, which only a restart turns on or off.
    pub(crate) listen_tls: Option<TlsAcceptor>,
    /// TLS of the upstream; `None` if the process has no upstream: adding one needs a restart.
    pub(crate) upstream: Option<UpstreamTlsHandle>,
    /// The address of the upstream, which only a restart changes.
    pub(crate) upstream_address: Option<String>,
    /// `shutdown.grace`.
    pub(crate) grace: watch::Sender<Duration>,
    /// Threads that may be busy with bodies at once.
    pub(crate) threads: usize,
}

impl ReloadableParts {
    /// Puts `new` in force instead of `old`, as far as that needs no restart. Returns the targets that changed.
    ///
    /// # Errors
    /// Nothing has changed: why, and what to do.
    pub(super) fn apply(
        &self,
        old: &Config,
        new: &Config,
    ) -> anyhow::Result<Vec<TargetChangeJson>> {
        let targets = targets_in_force(new);
        self.targets.check(targets)?;
        let (local_writes, tee) = settings::policy(new, self.threads);
        anyhow::ensure!(
            self.upstream.is_some() || local_writes == LocalWrites::Discard,
            "this configuration forwards requests to an upstream, and the relay was started without one: restart it"
        );
        for warning in new.warnings() {
            if !old.warnings().contains(&warning) {
                tracing::warn!("{warning}");
            }
        }
        self.budget.set_longest_body(new.tee.max_body);
        self.log_level.set(new.log.level);
        self.guard.set(new.admin_token.clone());
        self.hosts.set(new.admin_hosts.clone());
        self.put_tls_in_force(new);
        self.grace.send_replace(new.shutdown_grace);
        // A request that is discarded must find a target: so targets are added before the policy changes, and removed
        // after it.
        let comes_first = targets.len() >= targets_in_force(old).len();
        if !comes_first {
            self.policy.set(local_writes, tee.as_ref());
        }
        let changes = self.targets.put_in_force(targets, new.reload.drain)?;
        if comes_first {
            self.policy.set(local_writes, tee.as_ref());
        }
        // Last: the profiles of new jobs meet the targets and the policy of their configuration.
        self.scraping.apply(new);
        for target in &changes {
            let (target, change) = (&target.name, target.change.as_str());
            tracing::info!(target, change, "target changed");
        }
        Ok(changes)
    }

    /// Puts TLS of the listeners and of the upstream in force; values that are equal change nothing.
    fn put_tls_in_force(&self, new: &Config) {
        if let (Some(in_force), Some(tls)) = (&self.admin_tls, &new.admin_tls) {
            in_force.set(tls.tls.clone());
            self.guard.set_needs_certificate(tls.requires_certificate());
        }
        if let (Some(in_force), Some(tls)) = (&self.listen_tls, &new.listen_tls) {
            in_force.set(tls.tls.clone());
        }
        // With another address the old server stays in use until the restart, and so does its TLS.
        if let (Some(in_force), Some(upstream)) = (&self.upstream, &new.upstream)
            && self.upstream_address == Some(upstream.address.to_string())
            && let Some(tls) = &upstream.tls
        {
            in_force.set(&tls.tls);
        }
    }
}

/// The targets that records are offered to: none if remote write is disabled.
pub(crate) fn targets_in_force(config: &Config) -> &[Target] {
    match config.remote_write.enabled {
        true => &config.remote_write.targets,
        false => &[],
    }
}
