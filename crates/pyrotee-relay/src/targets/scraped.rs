//! The list of targets that a scrape reads.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pyrotee_admin::TargetView;
use pyrotee_net::ConnectionCounts;
use tokio::time::Instant;

/// How long a scrape shows a target that is removed and empty, so that several scrapes see its final counts.
pub(crate) const SHOWN_FOR: Duration = Duration::from_secs(300);

/// A target as a scrape sees it.
#[derive(Debug, Clone)]
pub(crate) struct ScrapedTarget {
    pub(crate) view: Arc<TargetView>,
    pub(crate) connections: ConnectionCounts,
    /// The target is not in the configuration any more.
    pub(crate) is_removed: bool,
    /// When its delivery ended; `None` while it is delivered.
    pub(crate) ended_at: Option<Instant>,
}

/// The targets that a scrape reads. Cheap to clone; all clones share one list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScrapedTargets(Arc<ArcSwap<Vec<ScrapedTarget>>>);

impl ScrapedTargets {
    pub(super) fn set(&self, targets: Vec<ScrapedTarget>) {
        self.0.store(Arc::new(targets));
    }

    /// The targets that are delivered, and those whose delivery ended within [`SHOWN_FOR`].
    pub(crate) fn load(&self) -> Vec<ScrapedTarget> {
        let targets = self.0.load();
        let is_shown = |it: &&ScrapedTarget| it.ended_at.is_none_or(|at| at.elapsed() < SHOWN_FOR);
        targets.iter().filter(is_shown).cloned().collect()
    }
}
