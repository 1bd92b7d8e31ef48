//! The list of targets that the pages and actions share, which a reload replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::TargetView;

/// The targets of a running relay: the configured ones in the order of the configuration, then those that are
/// draining. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct TargetList(Arc<ArcSwap<Vec<Arc<TargetView>>>>);

impl TargetList {
    /// A list with these targets.
    pub fn new(targets: Vec<Arc<TargetView>>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(targets)))
    }

    /// The list of this instant, which a later [`TargetList::set`] does not change. Never waits.
    pub fn load(&self) -> Arc<Vec<Arc<TargetView>>> {
        self.0.load_full()
    }

    /// Replaces the list in one step, for all clones.
    pub fn set(&self, targets: Vec<Arc<TargetView>>) {
        self.0.store(Arc::new(targets));
    }

    /// The target of this name; `None` if the list does not have it.
    pub fn find(&self, name: &str) -> Option<Arc<TargetView>> {
        let targets = self.0.load();
        targets.iter().find(|target| target.name == name).cloned()
    }

    /// The names of the targets that `is_listed` selects, for an error that lists them.
    pub(crate) fn names(&self, is_listed: impl Fn(&TargetView) -> bool) -> String {
        let targets = self.0.load();
        let listed = targets.iter().filter(|target| is_listed(target));
        let names: Vec<_> = listed.map(|target| target.name.as_str()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{configured, draining};

    #[test]
    fn clones_see_a_new_list_and_one_that_was_loaded_does_not_change() {
        let list = TargetList::new(vec![configured("a")]);
        let (clone, before) = (list.clone(), list.load());
        list.set(vec![configured("b"), draining("a")]);
        assert_eq!(before.len(), 1);
        let names: Vec<_> = clone.load().iter().map(|it| it.name.clone()).collect();
        assert_eq!(names, ["b", "a"]);
        assert!(clone.find("a").unwrap().is_draining());
        assert!(clone.find("c").is_none());
        assert_eq!(clone.names(|_| true), "b, a");
        assert_eq!(clone.names(|target| !target.is_draining()), "b");
    }
}
