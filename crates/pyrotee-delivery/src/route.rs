//! The route of a target's uploads: everything that the settings of the target decide. A change of the settings
//! replaces the route; an upload keeps the route with which it began.

use std::sync::{Arc, Mutex};

use pyrotee_net::{ConnectionCounts, Connector};
use pyrotee_queue::{WallClock, lock};
use tokio::sync::watch;

use crate::client::TargetClient;
use crate::connection::{Connection, Endpoint};
use crate::flow::FlowControl;
use crate::metrics::TargetMetrics;
use crate::request::RewritePermits;
use crate::settings::SettingsChange;
use crate::{Settings, SettingsError};

/// What the settings of a target decide about its uploads. Never changes.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) settings: Settings,
    pub(crate) client: TargetClient,
    /// Shared with the route before, unless the settings changed in a way that makes earlier outcomes meaningless.
    pub(crate) flow: Arc<FlowControl>,
    /// Shared with the route before if the address is the same.
    pub(crate) metrics: Arc<TargetMetrics>,
}

/// The route in force of one target, and what is needed to replace it.
#[derive(Debug)]
pub(crate) struct Routes {
    name: String,
    connector: Connector,
    clock: WallClock,
    rewrites: RewritePermits,
    in_force: watch::Sender<Arc<Route>>,
    /// Held during a replacement, so that each is compared with the route that it replaces.
    replacing: Mutex<()>,
}

impl Routes {
    /// The routes of a target, the first one for `settings`.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header.
    pub(crate) fn new(
        settings: &Settings,
        connector: Connector,
        clock: WallClock,
    ) -> Result<Self, SettingsError> {
        let rewrites = RewritePermits::new();
        let endpoint = Endpoint::new(&connector, settings);
        let client = TargetClient::new(settings, endpoint, rewrites.clone(), clock.clone())?;
        let first = Route {
            client,
            flow: FlowControl::new(settings.workers, settings.replay_rate),
            metrics: Arc::new(TargetMetrics::new(&settings.name, &settings.address)),
            settings: settings.clone(),
        };
        Ok(Self {
            name: settings.name.clone(),
            connector,
            clock,
            rewrites,
            in_force: watch::Sender::new(Arc::new(first)),
            replacing: Mutex::default(),
        })
    }

    /// The counts of the connections that all routes open.
    pub(crate) fn connection_counts(&self) -> ConnectionCounts {
        self.connector.counts().clone()
    }

    /// Follows the route in force.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Route>> {
        self.in_force.subscribe()
    }

    /// The route in force.
    pub(crate) fn in_force(&self) -> Arc<Route> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Whether `route` is in force.
    pub(crate) fn is_in_force(&self, route: &Arc<Route>) -> bool {
        Arc::ptr_eq(&self.in_force.borrow(), route)
    }

    /// Whether `connection` leads to the server of the route in force.
    pub(crate) fn uses(&self, connection: &Connection) -> bool {
        connection.leads_to(self.in_force.borrow().client.endpoint())
    }

    /// Whether the flow control of `route` is in force: what an upload of `route` shows concerns later uploads.
    pub(crate) fn is_flow_in_force(&self, route: &Route) -> bool {
        Arc::ptr_eq(&self.in_force.borrow().flow, &route.flow)
    }

    /// Tells the flow control in force, and those that replace it, how many relays share the target.
    pub(crate) fn set_relays(&self, relays: u32) {
        let _replacing = lock(&self.replacing);
        self.in_force().flow.set_relays(relays);
    }

    /// Puts a route for `settings` in force, and returns the one that it replaces; `None` if the settings are equal.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header. The route in force stays.
    pub(crate) fn replace(&self, settings: &Settings) -> Result<Option<Arc<Route>>, SettingsError> {
        let _replacing = lock(&self.replacing);
        let old = self.in_force();
        let change = old.settings.change_to(settings);
        if change == SettingsChange::None {
            return Ok(None);
        }
        let client = self.client(&old, settings)?;
        let (workers, replay_rate) = (settings.workers, settings.replay_rate);
        let flow = match change {
            SettingsChange::Acceptance => old.flow.renewed(workers, replay_rate),
            SettingsChange::Uploads | SettingsChange::None => {
                old.flow.set_limits(workers, replay_rate);
                Arc::clone(&old.flow)
            }
        };
        let metrics = match old.settings.address == settings.address {
            true => Arc::clone(&old.metrics),
            false => Arc::new(TargetMetrics::new(&self.name, &settings.address)),
        };
        let new = Route {
            settings: settings.clone(),
            client,
            flow,
            metrics,
        };
        Ok(Some(self.in_force.send_replace(Arc::new(new))))
    }

    /// A client for `settings`, which shares the connections of `old` if both have the same server and equal TLS.
    fn client(&self, old: &Route, settings: &Settings) -> Result<TargetClient, SettingsError> {
        let is_same = old.settings.tls == settings.tls
            && old.settings.address.origin() == settings.address.origin();
        let endpoint = match is_same {
            true => Arc::clone(old.client.endpoint()),
            false => Endpoint::new(&self.connector, settings),
        };
        TargetClient::new(
            settings,
            endpoint,
            self.rewrites.clone(),
            self.clock.clone(),
        )
    }
}
