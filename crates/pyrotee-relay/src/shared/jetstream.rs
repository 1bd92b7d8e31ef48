//! Opens the backend on NATS JetStream, and shows what it reports.

use std::sync::Arc;

use pyroscope_wire::Surface;
use pyrotee_admin::json::shared::{
    READY, SharedCountersJson, SharedJson, SharedTargetJson, UNUSABLE, WAITING,
};
use pyrotee_admin::json::{seconds, time};
use pyrotee_admin::{BoxFuture, SharedBacklog};
use pyrotee_config::{SharedAuth, SharedPolicy};
use pyrotee_jetstream::{Auth, Control, Counters, Fleet, Monitor, Policy, Server, Settings};
use pyrotee_jetstream::{StreamState, TargetStats};
use pyrotee_net::Resolver;
use pyrotee_queue::{Budget, OpenBackend, Supervisor, Tally, TargetQueue};
use tokio::sync::broadcast::error::RecvError;

use super::{Closing, FleetTask, Shared};
use crate::outside::Outside;
use crate::targets::Targets;

/// Opens a queue for each of `targets` whose backlog is shared.
///
/// # Errors
/// None: NATS is connected to in the background.
pub(crate) fn open(
    shared: &pyrotee_config::Shared,
    targets: impl Iterator<Item = TargetQueue>,
    budget: &Arc<Budget>,
    supervisor: &Supervisor,
    outside: &Outside,
) -> anyhow::Result<(OpenBackend, Shared)> {
    let opened = settings(shared, outside.resolver(), supervisor.clone()).open(targets, budget);
    let backend = OpenBackend {
        producer: opened.producer,
        registry: opened.registry,
        queues: opened.queues,
    };
    let (closer, fleet) = (opened.closer, opened.fleet);
    let shared = Shared {
        backlog: Arc::new(Backlog {
            monitor: opened.monitor,
            control: opened.control,
        }),
        closing: Closing(Box::new(move |until| {
            Box::pin(async move { closer.close(until.into()).await })
        })),
        fleet: FleetTask(Box::new(move |targets| Box::pin(heed(fleet, targets)))),
    };
    Ok((backend, shared))
}

/// The settings of the backend, for a relay and for the commands that look at NATS without one.
pub fn settings(
    shared: &pyrotee_config::Shared,
    resolver: Resolver,
    supervisor: Supervisor,
) -> Settings {
    let servers = shared.servers.iter().map(|server| Server {
        host: server.host.clone(),
        port: server.port,
        tls: server.tls,
    });
    let auth = match shared.auth.clone() {
        SharedAuth::None => Auth::None,
        SharedAuth::Token(token) => Auth::Token(token),
        SharedAuth::User { user, password } => Auth::User { user, password },
        SharedAuth::CredsFile(file) => Auth::CredsFile(file),
        SharedAuth::NkeyFile(file) => Auth::NkeyFile(file),
    };
    let surfaces = Surface::ALL.iter().map(|it| (it.id(), it.name()));
    let prefix = shared.prefix.as_str();
    Settings {
        auth,
        tls: shared.tls.as_ref().map(|it| it.tls.clone()),
        after: shared.after,
        policy: match shared.policy {
            SharedPolicy::Manage => Policy::Manage,
            SharedPolicy::Bind => Policy::Bind,
        },
        replicas: usize::from(shared.replicas),
        surfaces: surfaces.collect(),
        ..Settings::new(servers.collect(), prefix, resolver, supervisor)
    }
}

/// Tells the targets how many relays there are and which targets others have seen recover, and the other relays which
/// targets this one has seen recover.
async fn heed(fleet: Fleet, targets: Arc<Targets>) {
    let (mut relays, mut recoveries) = (fleet.relays(), fleet.recoveries());
    loop {
        let count = *relays.borrow_and_update();
        targets.set_relays(count);
        tokio::select! {
            changed = relays.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            recovery = recoveries.recv() => match recovery {
                Ok(target) => targets.probe_soon(&target),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            target = targets.recovered() => fleet.announce_recovery(&target),
        }
    }
}

/// The state of the backend as the admin listener shows it.
#[derive(Debug)]
struct Backlog {
    monitor: Monitor,
    control: Control,
}

impl SharedBacklog for Backlog {
    fn state(&self) -> SharedJson {
        let stats = self.monitor.stats();
        let (link, targets) = (stats.link, stats.targets.into_iter());
        SharedJson {
            connected: link.is_connected,
            server: link.server,
            server_version: link.version,
            since: link.since.map(time),
            error: link.error,
            relays: stats.relays.into(),
            connects: link.connects,
            disconnects: link.disconnects,
            errors: link.errors,
            targets: targets.map(target).collect(),
        }
    }

    fn purge(&self, name: &str) -> BoxFuture<'_, Result<Tally, String>> {
        let name = name.to_owned();
        Box::pin(async move {
            let purged = self.control.purge(&name).await;
            purged.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
        })
    }
}

fn target(stats: TargetStats) -> SharedTargetJson {
    let (state, text) = match stats.state {
        StreamState::Waiting => (WAITING, None),
        StreamState::Ready => (READY, None),
        StreamState::Unusable(text) => (UNUSABLE, Some(text)),
    };
    SharedTargetJson {
        name: stats.name,
        stream: stats.stream,
        state: state.to_owned(),
        text,
        waiting: stats.waiting,
        bytes: stats.bytes,
        max_bytes: stats.max_bytes,
        oldest_seconds: stats.oldest.map(seconds),
        buffered: stats.buffered,
        leased: stats.leased,
        publishing: stats.publishing,
        longest_body: stats.longest_body,
        notes: stats.notes,
        counters: counters(stats.counters),
    }
}

fn counters(of: Counters) -> SharedCountersJson {
    SharedCountersJson {
        published: of.published,
        published_bytes: of.published_bytes,
        publish_failures: of.publish_failures,
        full: of.full,
        oversized: of.oversized,
        possibly_doubled: of.possibly_doubled,
        redelivered: of.redelivered,
        mismatched: of.mismatched,
        corrupt: of.corrupt,
        unknown_version: of.unknown_version,
        orphans: of.orphans,
        expired: of.expired,
        purged: of.purged,
    }
}
