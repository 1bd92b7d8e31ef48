//! Which jobs are in force, and which were: their series end a while after them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pyrotee_queue::lock;
use tokio::time::Instant;

use crate::targets::SHOWN_FOR;
use crate::telemetry::{escaped, label};

/// The label that names a job.
const LABEL: &str = "scrape_job";

/// The names of all jobs since the start. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobNames(Arc<Mutex<Jobs>>);

/// For each name as the exporter writes it, when the job was removed; `None` while it is in force.
type Jobs = BTreeMap<String, Option<Instant>>;

impl JobNames {
    /// Notes the jobs in force.
    pub(super) fn set(&self, in_force: &[String]) {
        let mut jobs = lock(&self.0);
        for removed in jobs.values_mut() {
            removed.get_or_insert_with(Instant::now);
        }
        for name in in_force {
            jobs.insert(escaped(name), None);
        }
    }

    /// Takes the series of the jobs out of a rendered scrape that were removed more than [`SHOWN_FOR`] ago. The exporter
    /// would show them for ever.
    pub(crate) fn without_removed(&self, text: String) -> String {
        let jobs = lock(&self.0);
        let is_old =
            |removed: &Option<Instant>| removed.is_some_and(|at| at.elapsed() >= SHOWN_FOR);
        if !jobs.values().any(is_old) {
            return text;
        }
        let is_shown = |line: &&str| {
            let job = label(line, LABEL).and_then(|name| jobs.get(name));
            !job.is_some_and(is_old)
        };
        text.split_inclusive('\n').filter(is_shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEXT: &str = "\
# HELP a_total scrape_job=\"shop\"
a_total{scrape_job=\"shop\"} 1
a_total{scrape_job=\"shop\",reason=\"first\"} 2
a_total{mechanism=\"file\",scrape_job=\"shop\"} 3
a_total{scrape_job=\"shop\\\\\"} 4
a_total{scrape_job=\"a\\\"b,scrape_job=\\\"shop\\\"\"} 5
a_total{other_scrape_job=\"shop\"} 6
b_total 7
";

    fn values(text: &str) -> String {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.chars().last()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_series_of_a_removed_job_end_after_a_while_and_come_back_with_it() {
        let names = JobNames::default();
        let set = |jobs: &[&str]| {
            let jobs: Vec<_> = jobs.iter().map(|&it| it.to_owned()).collect();
            names.set(&jobs);
        };
        let shown = || values(&names.without_removed(TEXT.to_owned()));
        set(&["shop", "shop\\"]);
        assert_eq!(shown(), "1234567");
        set(&["shop\\"]);
        tokio::time::advance(SHOWN_FOR - Duration::from_secs(1)).await;
        assert_eq!(shown(), "1234567");
        // Another reload does not begin the time anew.
        set(&["shop\\"]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(shown(), "4567");
        set(&["shop"]);
        tokio::time::advance(SHOWN_FOR).await;
        assert_eq!(shown(), "123567");
    }

    #[tokio::test(start_paused = true)]
    async fn names_with_quotes_are_found() {
        let names = JobNames::default();
        names.set(&["a\"b,scrape_job=\"shop\"".to_owned()]);
        names.set(&[]);
        tokio::time::advance(SHOWN_FOR).await;
        assert_eq!(values(&names.without_removed(TEXT.to_owned())), "123467");
    }
}
