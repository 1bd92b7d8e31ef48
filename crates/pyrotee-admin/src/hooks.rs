//! What the admin listener asks of the running relay to reload the configuration. The relay implements these traits.

use std::fmt;
use std::pin::Pin;

use pyrotee_queue::Tally;

use crate::json::reload::ReloadReport;
use crate::json::scrape::ScrapeTargetJson;
use crate::json::shared::SharedJson;
use crate::json::status::{ConfigJson, UpstreamJson};

/// A boxed future, so that a hook is usable as a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Shows the state of the configuration on the status page.
pub trait ConfigState: fmt::Debug + Send + Sync {
    /// The state of this instant. Never waits.
    fn state(&self) -> ConfigJson;
}

/// Shows the state of the upstream on the status page.
pub trait UpstreamState: fmt::Debug + Send + Sync {
    /// The state of this instant. Never waits.
    fn state(&self) -> UpstreamJson;
}

/// Shows the scrape targets of pull mode.
pub trait ScrapeState: fmt::Debug + Send + Sync {
    /// Number of jobs in force. Never waits.
    fn jobs(&self) -> usize;

    /// All scrape targets by job, dropped ones included. Never waits.
    fn targets(&self) -> Vec<ScrapeTargetJson>;
}

/// Shows and purges the backlog that the relay shares with other relays.
pub trait SharedBacklog: fmt::Debug + Send + Sync {
    /// The state of this instant. Never waits.
    fn state(&self) -> SharedJson;

    /// Deletes the shared backlog of the target `name`, counted as `admin`, and resolves to what was deleted. Profiles that
    /// a relay is uploading may be delivered all the same.
    ///
    /// # Errors
    /// Why the backlog could not be deleted, and what to do. The listener drops the future after 4 s.
    fn purge(&self, name: &str) -> BoxFuture<'_, Result<Tally, String>>;
}

/// Reads the configuration again and applies it, for `POST /-/reload`.
pub trait Reload: fmt::Debug + Send + Sync {
    /// Resolves once the reload is applied or refused. The listener drops the future after 30 s or when it stops; a
    /// reload that has begun must then go on to its end.
    fn reload(&self) -> BoxFuture<'_, ReloadReport>;
}

/// Stops the delivery of removed targets.
pub trait Draining: fmt::Debug + Send + Sync {
    /// Ends the delivery to the draining target `name`; its pending records stay in the spool. Resolves once no record of
    /// the target is in flight. Has no effect on a target that is not draining. The listener drops the future after 10 s.
    fn stop(&self, name: &str) -> BoxFuture<'_, ()>;
}
