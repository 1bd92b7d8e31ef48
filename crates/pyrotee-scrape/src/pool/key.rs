//! The identity of a loop.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::target::ScrapeTarget;

/// What makes two scrape targets the same loop: equal labels, URL and profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LoopKey {
    labels: BTreeMap<String, String>,
    url: String,
    profile: String,
}

impl LoopKey {
    pub(super) fn of(target: &ScrapeTarget) -> Self {
        Self {
            labels: target.labels.clone(),
            url: target.url.to_string(),
            profile: target.profile.clone(),
        }
    }

    /// Decides on the phase of the loop: the same after a restart.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}
