//! Which target had to get which profile, judged by the times of offers and reloads.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::support::{Upstream, key::Key};

/// A profile that a client sent. The relay offers it to the targets at some time between both instants.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) profile: String,
    pub(super) began: Instant,
    pub(super) answered: Instant,
}

/// A list of targets, in force from some instant between `began` and `returned` on.
#[derive(Debug)]
struct List {
    names: BTreeSet<String>,
    /// The reload that put the list in force; `None`: the list of the start.
    reload: Option<(Instant, Instant)>,
}

/// The lists that were in force, one after the other.
#[derive(Debug)]
pub(super) struct History(Vec<List>);

/// How often each profile arrived under the name of each target.
#[derive(Debug, Default)]
pub(super) struct Deliveries(BTreeMap<String, BTreeMap<String, u64>>);

impl Deliveries {
    /// Everything that the targets received, whatever address a target had.
    pub(super) fn of(targets: &[Upstream]) -> Self {
        let mut deliveries = Self::default();
        for request in targets.iter().flat_map(Upstream::requests) {
            let mut key = Key::of(&request.head.query());
            let target = key.tags.remove("target").expect("each target has this tag");
            let profile = deliveries.0.entry(key.app).or_default();
            *profile.entry(target).or_default() += 1;
        }
        deliveries
    }

    /// Uploads under the name of a target.
    pub(super) fn count(&self, target: &str) -> u64 {
        let counts = self.0.values().filter_map(|targets| targets.get(target));
        counts.sum()
    }
}

impl History {
    pub(super) fn new(names: BTreeSet<String>) -> Self {
        Self(vec![List {
            names,
            reload: None,
        }])
    }

    pub(super) fn push(&mut self, names: BTreeSet<String>, began: Instant, returned: Instant) {
        let reload = Some((began, returned));
        self.0.push(List { names, reload });
    }

    /// Asserts that each profile arrived once under each name of one list that was in force at its offer.
    ///
    /// Returns how many deliveries are missing under each name. A delivery may be missing only if a reload removed the
    /// name at that moment: the queue refuses such a record and counts it.
    pub(super) fn judge(&self, offers: &[Offer], deliveries: &Deliveries) -> BTreeMap<String, u64> {
        let mut missing = BTreeMap::new();
        let none = BTreeMap::new();
        for offer in offers {
            let delivered = deliveries.0.get(&offer.profile).unwrap_or(&none);
            let is_once = delivered.values().all(|count| *count == 1);
            assert!(
                is_once,
                "{} arrived more than once: {delivered:?}",
                offer.profile
            );
            let got: BTreeSet<_> = delivered.keys().cloned().collect();
            let possible = self.possible(offer);
            if possible.iter().any(|list| list.names == got) {
                continue;
            }
            let missed = possible
                .windows(2)
                .find_map(|pair| refused(&got, pair[0], pair[1]));
            let missed = missed.unwrap_or_else(|| {
                panic!(
                    "{} arrived under {got:?} and not under the names of {possible:#?}",
                    offer.profile
                )
            });
            for name in missed {
                *missing.entry(name).or_default() += 1;
            }
        }
        missing
    }

    /// The lists that may have been in force at an offer.
    fn possible(&self, offer: &Offer) -> Vec<&List> {
        let has_begun = |list: &List| list.reload.is_none_or(|(began, _)| began <= offer.answered);
        let next = self.0.iter().skip(1).map(|list| list.reload);
        let ends = next.chain([None]);
        let lists = self.0.iter().zip(ends);
        let in_time = lists.filter(|(list, end)| {
            has_begun(list) && end.is_none_or(|(_, returned)| returned >= offer.began)
        });
        in_time.map(|(list, _)| list).collect()
    }
}

/// The names of `old` that a record lacks because their queues had just been closed; `None` if something else is wrong.
fn refused(got: &BTreeSet<String>, old: &List, new: &List) -> Option<Vec<String>> {
    let missing: Vec<_> = old.names.difference(got).cloned().collect();
    let is_old = got.is_subset(&old.names);
    let are_removed = missing.iter().all(|name| !new.names.contains(name));
    (is_old && are_removed).then_some(missing)
}
