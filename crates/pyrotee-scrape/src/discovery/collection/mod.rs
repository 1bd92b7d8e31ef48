//! Puts the groups of all sources of a job together.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pyroscope_wire::scrape::Group;
use pyrotee_net::port_of;
use pyrotee_scrape_config::Job;

use super::mechanism::Mechanism;
use super::metrics::{JobMetrics, MechanismMetrics};
use super::refusal::refusal;
use super::sources::Update;
use super::{Context, Discovered};
use crate::target::{DroppedTarget, Labels, Origin, ScrapeTarget, of_address, without_user};

/// Most bytes of the labels of a group. Each scrape target of the group has a copy of them.
const MAX_LABEL_BYTES: usize = 8 * 1024;

/// What the sources of a job have found.
#[derive(Debug)]
pub(super) struct Collection {
    job: Arc<Job>,
    own: Arc<[SocketAddr]>,
    /// Most addresses that are looked at, and most scrape targets and dropped ones that are kept.
    limit: usize,
    slots: Vec<Slot>,
    metrics: JobMetrics,
}

/// The last update of a source.
#[derive(Debug)]
struct Slot {
    mechanism: Mechanism,
    metrics: MechanismMetrics,
    /// `None` until the first update.
    groups: Option<Vec<Group>>,
    error: Option<String>,
}

impl Collection {
    /// The addresses of the configuration, and as many sources as `mechanisms`.
    pub(super) fn new(job: &Arc<Job>, mechanisms: &[Mechanism], context: &Context) -> Self {
        let slots = mechanisms.iter().map(|&mechanism| Slot {
            mechanism,
            metrics: MechanismMetrics::new(&job.name, mechanism),
            groups: None,
            error: None,
        });
        let collection = Self {
            job: Arc::clone(job),
            own: Arc::clone(&context.own),
            // Beyond `max-targets`, so that the status can show what is refused.
            limit: context.max_targets.saturating_mul(2),
            slots: slots.collect(),
            metrics: JobMetrics::new(&job.name),
        };
        collection.count();
        collection
    }

    pub(super) fn update(&mut self, update: Update) {
        let Some(slot) = self.slots.get_mut(update.source) else {
            return;
        };
        match update.groups {
            Some(groups) => slot.groups = Some(groups),
            None => slot.groups = Some(slot.groups.take().unwrap_or_default()),
        }
        slot.error = update.error;
        self.count();
    }

    /// The metrics of the updates that were handed on.
    pub(super) fn handed_on(&self) {
        self.metrics.updates.increment(1);
    }

    /// The scrape targets of all groups.
    pub(super) fn discovered(&self) -> Discovered {
        let mut found = Discovered {
            is_complete: self.slots.iter().all(|slot| slot.groups.is_some()),
            ..Discovered::default()
        };
        for error in self.slots.iter().filter_map(|slot| slot.error.as_ref()) {
            found.dropped.push(DroppedTarget {
                address: String::new(),
                discovered: Labels::from([("job".to_owned(), self.job.name.clone())]),
                reason: error.clone(),
            });
        }
        let mut addresses = 0;
        let mut left_out = 0;
        for (origin, group) in self.groups() {
            let label_bytes: usize = group.labels.iter().map(|(k, v)| k.len() + v.len()).sum();
            if label_bytes > MAX_LABEL_BYTES {
                let reason = format!(
                    "the labels of the group of application {:?} have {label_bytes} bytes, and the limit is {MAX_LABEL_BYTES}: remove some",
                    group.application
                );
                let first = group.targets.first().map_or("", String::as_str);
                found.dropped.push(DroppedTarget {
                    address: without_user(first).to_owned(),
                    discovered: Labels::default(),
                    reason,
                });
                continue;
            }
            for address in &group.targets {
                let kept = found.targets.len() + found.dropped.len();
                if addresses >= self.limit || kept >= self.limit {
                    left_out += 1;
                    continue;
                }
                addresses += 1;
                self.add(group, address, origin, &mut found);
            }
        }
        if left_out > 0 {
            found.dropped.push(DroppedTarget {
                address: String::new(),
                discovered: Labels::default(),
                reason: format!(
                    "{left_out} more addresses are not looked at: raise max-targets, or list fewer"
                ),
            });
        }
        found.targets = without_duplicates(found.targets);
        found
    }

    /// Static groups first: they stay in at a limit, and an address that is discovered as well is a static one.
    fn groups(&self) -> impl Iterator<Item = (Origin, &Group)> {
        let found = self.slots.iter().flat_map(|slot| &slot.groups).flatten();
        let fixed = self.job.static_groups.iter();
        let fixed = fixed.map(|group| (Origin::Static, group));
        fixed.chain(found.map(|group| (Origin::Discovered, group)))
    }

    fn add(&self, group: &Group, address: &str, origin: Origin, found: &mut Discovered) {
        let targets = of_address(&self.job, group, address, origin, &mut found.dropped);
        let refusal = targets.first().and_then(|it| self.refusal(it));
        let (Some(first), Some(refusal)) = (targets.first(), refusal) else {
            found.targets.extend(targets);
            return;
        };
        found.dropped.push(DroppedTarget {
            address: address.to_owned(),
            discovered: first.discovered.clone(),
            reason: refusal,
        });
    }

    /// Why an address that is no host name is refused. A host name is checked when a connection opens.
    fn refusal(&self, target: &ScrapeTarget) -> Option<String> {
        let host = target.url.host()?.trim_matches(['[', ']']);
        let ip: IpAddr = host.parse().ok()?;
        let address = SocketAddr::new(ip, port_of(&target.url));
        let refusal = match target.origin {
            Origin::Static => None,
            Origin::Discovered => refusal(address, &self.own),
        }?;
        Some(format!("it is {}: {}", refusal.what, refusal.remedy))
    }

    /// Sets the gauges.
    fn count(&self) {
        let addresses = |groups: &[Group]| groups.iter().map(|it| it.targets.len()).sum::<usize>();
        let fixed = addresses(&self.job.static_groups);
        self.metrics.fixed.set(fixed as f64);
        let mut all = fixed;
        for mechanism in [Mechanism::File, Mechanism::Http] {
            let slots = self.slots.iter().filter(|it| it.mechanism == mechanism);
            let found = slots.clone().flat_map(|it| &it.groups);
            let found: usize = found.map(|groups| addresses(groups)).sum();
            for slot in slots {
                slot.metrics.targets.set(found as f64);
            }
            all += found;
        }
        self.metrics.discovered.set(all as f64);
    }
}

/// The first of scrape targets with equal labels, URL and profile.
fn without_duplicates(targets: Vec<ScrapeTarget>) -> Vec<ScrapeTarget> {
    let mut seen = HashSet::new();
    let keys = targets.iter().map(|it| (&it.labels, &it.url, &it.profile));
    let are_first: Vec<bool> = keys.map(|key| seen.insert(key)).collect();
    let firsts = targets.into_iter().zip(are_first);
    firsts
        .filter_map(|(it, is_first)| is_first.then_some(it))
        .collect()
}

#[cfg(test)]
mod tests;
