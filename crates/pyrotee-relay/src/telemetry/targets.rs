//! The series of all targets, while targets come, change and go.
//!
//! The exporter cannot delete a series. So the series of a target that is gone, and those that name an address which a
//! target had before, are left out of the rendered text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use pyrotee_queue::lock;
use tokio::time::Instant;

use super::exposition::label;
use super::removed::RemovedNames;
use super::target::{Labels, TargetSeries};
use crate::targets::{SHOWN_FOR, ScrapedTargets};

/// The series of the targets that are scraped, and what is left out of a scrape.
#[derive(Debug)]
pub(super) struct TargetsSeries {
    targets: ScrapedTargets,
    /// The relay shares a backlog.
    is_shared: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the name of the target, of all targets that were ever scraped.
    series: BTreeMap<String, TargetSeries>,
    hidden: Hidden,
}

/// Series that are not shown.
#[derive(Debug, Default)]
struct Hidden {
    /// Names of targets.
    targets: BTreeSet<String>,
    /// Labels of `target_info` that the target has no more: two at once would double what is joined with it.
    infos: BTreeSet<Labels>,
    /// Names and addresses of targets that have another address by now, and since when. Their series are shown for
    /// [`SHOWN_FOR`], so that a scrape sees the final counts.
    addresses: BTreeMap<(String, String), Instant>,
}

impl TargetsSeries {
    pub(super) fn new(targets: ScrapedTargets) -> Self {
        Self::begin(targets, false)
    }

    /// Shows what each target exchanges with the shared backlog, too.
    pub(super) fn with_shared(self) -> Self {
        Self::begin(self.targets, true)
    }

    fn begin(targets: ScrapedTargets, is_shared: bool) -> Self {
        let series = Self {
            targets,
            is_shared,
            state: Mutex::default(),
        };
        // All series of a target exist, at zero, from its start.
        series.update(&RemovedNames::default());
        series
    }

    /// Copies the numbers of all targets into their series. `removed`: the targets that [`super::removed`] scrapes.
    pub(super) fn update(&self, removed: &RemovedNames) {
        let targets = self.targets.load();
        let mut state = lock(&self.state);
        let State { series, hidden } = &mut *state;
        for target in targets.iter() {
            let name = &target.view.name;
            let series = series
                .entry(name.clone())
                .or_insert_with(|| TargetSeries::new(target, self.is_shared));
            if let Some(outdated) = series.update(target) {
                hidden.note_outdated(outdated);
            }
            hidden.note_current(series.labels());
        }
        let is_listed = |name: &String| targets.iter().any(|it| it.view.name == *name);
        for (_, series) in series.iter().filter(|(name, _)| !is_listed(name)) {
            // A spool may keep records of the target, whose account is shown further.
            series.clear();
            hidden.infos.insert(series.labels().clone());
        }
        let is_shown = |name: &String| removed.shown.contains(name) || is_listed(name);
        let names = series.keys().chain(&removed.hidden);
        hidden.targets = names.filter(|name| !is_shown(name)).cloned().collect();
    }

    /// Leaves the lines of hidden series out of a rendered scrape.
    pub(super) fn without_hidden(&self, text: String) -> String {
        let state = lock(&self.state);
        let hidden = &state.hidden;
        if hidden.is_empty() {
            return text;
        }
        let lines = text.split_inclusive('\n');
        lines.filter(|line| !hidden.contains(line)).collect()
    }
}

impl Hidden {
    fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.infos.is_empty() && self.addresses.is_empty()
    }

    fn note_outdated(&mut self, labels: Labels) {
        let address = (labels.target.clone(), labels.address.clone());
        self.addresses.entry(address).or_insert_with(Instant::now);
        self.infos.insert(labels);
    }

    fn note_current(&mut self, labels: &Labels) {
        if self.infos.is_empty() {
            return;
        }
        let address = (labels.target.clone(), labels.address.clone());
        self.addresses.remove(&address);
        self.infos.remove(labels);
    }

    /// Whether a line of the text format is of a hidden series.
    fn contains(&self, line: &str) -> bool {
        let label = |name| label(line, name);
        let Some(target) = label("target").or_else(|| label("target_name")) else {
            return false;
        };
        let owned = |label: Option<&str>| label.unwrap_or_default().to_owned();
        if self.targets.contains(target) {
            return true;
        }
        if let Some(address) = label("target_address") {
            let address = (target.to_owned(), address.to_owned());
            let since = self.addresses.get(&address);
            return since.is_some_and(|since| since.elapsed() >= SHOWN_FOR);
        }
        let labels = Labels {
            target: target.to_owned(),
            address: owned(label("address")),
            tenant: owned(label("tenant")),
        };
        self.infos.contains(&labels)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn labels(target: &str, address: &str, tenant: &str) -> Labels {
        Labels {
            target: target.to_owned(),
            address: address.to_owned(),
            tenant: tenant.to_owned(),
        }
    }

    const INFO: &str = "info{target=\"a\",address=\"http://one\",tenant=\"\"} 1\n";
    const LEGACY: &str = "sent_bytes{target_name=\"a\",target_address=\"http://one\"} 7\n";
    const LEDGER: &str = "sent_total{target=\"a\"} 7\n";
    const DROPPED: &str = "dropped_total{reason=\"expired\",target=\"a\"} 7\n";

    fn shown(hidden: &Hidden) -> [bool; 4] {
        [INFO, LEGACY, LEDGER, DROPPED].map(|line| !hidden.contains(line))
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_a_target_had_goes_from_the_info_at_once_and_then_from_the_rest() {
        let mut hidden = Hidden::default();
        assert!(hidden.is_empty());
        hidden.note_outdated(labels("a", "http://one", ""));
        hidden.note_current(&labels("a", "http://two", ""));
        assert_eq!(shown(&hidden), [false, true, true, true]);
        advance(SHOWN_FOR).await;
        assert_eq!(shown(&hidden), [false, false, true, true]);
        hidden.note_current(&labels("a", "http://one", ""));
        assert_eq!(shown(&hidden), [true; 4], "it came back");
    }

    #[tokio::test(start_paused = true)]
    async fn another_tenant_hides_no_series_but_the_info() {
        let mut hidden = Hidden::default();
        hidden.note_outdated(labels("a", "http://one", ""));
        hidden.note_current(&labels("a", "http://one", "team"));
        advance(SHOWN_FOR).await;
        assert_eq!(shown(&hidden), [false, true, true, true]);
    }

    #[test]
    fn a_target_that_is_gone_has_no_line_and_others_have_theirs() {
        let hidden = Hidden {
            targets: BTreeSet::from(["a".to_owned()]),
            ..Hidden::default()
        };
        assert_eq!(shown(&hidden), [false; 4]);
        for line in [
            "# HELP sent_total Profiles of target=\"a\".\n",
            "sent_total{target=\"aa\"} 7\n",
            "sent_total{not_target=\"a\",target=\"b\"} 7\n",
            "up 1\n",
            "\n",
        ] {
            assert!(!hidden.contains(line), "{line}");
        }
    }
}
