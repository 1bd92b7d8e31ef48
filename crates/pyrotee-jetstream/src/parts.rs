//! What all targets and their tasks use.

use std::fmt;
use std::sync::{Arc, Weak};

use pyrotee_queue::Budget;
use tokio::sync::Semaphore;

use crate::link::Link;
use crate::message_ids::MessageIds;
use crate::pace::Pace;
use crate::settings::Settings;

/// Most publishes of all targets that are not acknowledged: the client of NATS allows no more.
pub(crate) const MOST_PUBLISHES: usize = 64;

/// The parts that all targets use.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) pace: Pace,
    pub(crate) link: Link,
    pub(crate) budget: Arc<Budget>,
    pub(crate) ids: MessageIds,
    /// One permit for each publish that is not acknowledged.
    pub(crate) permits: Arc<Semaphore>,
    /// Exists until the backend is closed: what is pending then is handed over before.
    closer: Weak<()>,
}

impl Parts {
    pub(crate) fn new(
        settings: Settings,
        pace: Pace,
        link: Link,
        budget: &Arc<Budget>,
        closer: Weak<()>,
    ) -> Self {
        Self {
            settings,
            pace,
            link,
            budget: Arc::clone(budget),
            ids: MessageIds::random(),
            permits: Arc::new(Semaphore::new(MOST_PUBLISHES)),
            closer,
        }
    }

    /// Whether the backend will be closed, which hands over what is pending.
    pub(crate) fn will_close(&self) -> bool {
        self.closer.strong_count() > 0
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("prefix", &self.settings.prefix)
            .finish_non_exhaustive()
    }
}
