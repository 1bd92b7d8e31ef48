//! Changes the settings of a target, and ends its delivery, while the deliverer runs.

use std::sync::Arc;

use pyrotee_queue::Consumer;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Deliverer;
use super::captor_tags::CaptorTags;
use super::uploader::Uploader;
use crate::failure_log::FailureLog;
use crate::status::TargetState;
use crate::{Settings, SettingsError};

/// Changes a running [`Deliverer`]. Cheap to clone; has no effect after the deliverer has ended.
#[derive(Debug, Clone)]
pub struct TargetHandle {
    pub(super) uploader: Arc<Uploader>,
    pub(super) draining_stopped: CancellationToken,
}

impl TargetHandle {
    /// Puts `settings` in force: uploads that begin from now on have them, uploads in flight end as they began. The
    /// name of the target stays. Equal settings change nothing.
    ///
    /// If the address, TLS, credentials, tenant, headers, paths or rules differ, the flow control begins anew: no circuit
    /// breaker is open, no pause lasts, and untried records are sent at once. Connections are kept if scheme, host and
    /// port are the same and TLS is equal.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header. The settings in force stay.
    pub fn update(&self, settings: &Settings) -> Result<(), SettingsError> {
        let uploader = &self.uploader;
        let Some(old) = uploader.routes.replace(settings)? else {
            return Ok(());
        };
        if uploader.routes.is_flow_in_force(&old) {
            return Ok(());
        }
        let metrics = &uploader.routes.in_force().metrics;
        metrics.no_pause();
        let state = old.flow.snapshot().state;
        if state.is_outage() {
            // As after every outage: the pending records could not be delivered in time.
            uploader.consumer.fall_behind();
        }
        if state != TargetState::Healthy {
            metrics.state_changed(TargetState::Healthy);
            let (target, state) = (uploader.name.as_str(), state.as_str());
            tracing::info!(
                target,
                state,
                "target has new settings: uploads start again"
            );
        }
        Ok(())
    }

    /// Tells how many relays deliver to the target, this one included; 0 is taken for 1. Each sends its part of the replay
    /// rate, and probes a target that is down so rarely that all together probe as often as one would.
    pub fn set_relays(&self, relays: u32) {
        self.uploader.routes.set_relays(relays);
    }

    /// Probes the target, and surfaces that are suspended, within a second: another relay's probe has succeeded. Changes
    /// nothing while uploads are not blocked.
    pub fn probe_soon(&self) {
        self.uploader.routes.in_force().flow.probe_soon();
    }

    /// Follows how many outages of the target or of a surface have ended by a probe of this relay.
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        self.uploader.recoveries.subscribe()
    }

    /// A deliverer for the records of `consumer` that goes on where the deliverer of this handle has ended: the target was
    /// drained, and has come back. Settings, summary and connection counts stay. Must not run beside the other deliverer.
    pub fn deliverer_again(&self, consumer: Arc<dyn Consumer>) -> Deliverer {
        let old = &self.uploader;
        Deliverer::of(Arc::new(Uploader {
            name: old.name.clone(),
            routes: Arc::clone(&old.routes),
            consumer,
            summary: Arc::clone(&old.summary),
            clock: old.clock.clone(),
            dead_letters: old.dead_letters.clone(),
            refresher: old.refresher.again(),
            log: FailureLog::default(),
            captor_tags: CaptorTags::default(),
            recoveries: old.recoveries.clone(),
            supervisor: old.supervisor.clone(),
        }))
    }

    /// Ends [`Deliverer::run`] without dropping a record: leases no more records, lets the
    /// uploads in flight end within the target's timeout, and releases the others. Returns at once.
    pub fn stop_draining(&self) {
        self.draining_stopped.cancel();
    }
}
