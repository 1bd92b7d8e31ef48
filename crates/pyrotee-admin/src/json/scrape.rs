//! The JSON of `/targets`, in the form of Pyroscope 0.37: one type for the relay that writes it and the command that reads
//! it.
//!
//! `docs/status.md` describes every field; a test checks this. A reader must accept unknown fields and unknown values
//! of texts, because the reader may be older than the relay.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::status::ScrapeJson;

/// Path of the list of [`ScrapeTargetJson`].
pub const PATH: &str = "/targets";

/// [`ScrapeTargetJson::last_scrape`] before the first scrape: the zero of Go's times.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// The last scrape got a profile.
pub const UP: &str = "up";

/// The last scrape failed.
pub const DOWN: &str = "down";

/// The scrape target cannot be scraped; Pyroscope 0.37 does not list it.
pub const DROPPED: &str = "dropped";

/// One scrape target and one profile of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeTargetJson {
    pub job: String,
    /// Without user and password.
    pub url: String,
    pub discovered_labels: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// [`UP`], [`DOWN`], [`DROPPED`], or `unknown` before the first scrape.
    pub health: String,
    /// [`NEVER`] before the first scrape.
    pub last_scrape: String,
    /// Why the last scrape failed or sent nothing, or why the scrape target was dropped; else empty.
    pub last_error: String,
    /// Such as `12ms` or `1.250s`; `0s` before the first scrape.
    pub last_scrape_duration: String,
    /// Name of the profile; Pyroscope 0.37 has no such field. Empty for a dropped scrape target.
    #[serde(default)]
    pub profile: String,
}

/// A duration as Go writes and reads it.
pub fn go_duration(duration: Duration) -> String {
    match duration.as_millis() {
        0 if duration.is_zero() => "0s".to_owned(),
        0..1_000 => format!("{}ms", duration.as_millis().max(1)),
        _ => format!("{:.3}s", duration.as_secs_f64()),
    }
}

impl ScrapeJson {
    /// The sum of `targets`; `None` without jobs.
    pub(crate) fn of(jobs: usize, targets: &[ScrapeTargetJson]) -> Option<Self> {
        let count = |health: &str| targets.iter().filter(|it| it.health == health).count() as u64;
        let (up, down, dropped) = (count(UP), count(DOWN), count(DROPPED));
        (jobs > 0).then(|| Self {
            jobs: jobs as u64,
            up,
            down,
            unknown: targets.len() as u64 - up - down - dropped,
            dropped,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::json::fields;

    fn target(health: &str) -> ScrapeTargetJson {
        ScrapeTargetJson {
            job: "shop".to_owned(),
            url: "http://cart:6060/debug/pprof/heap".to_owned(),
            discovered_labels: BTreeMap::new(),
            labels: BTreeMap::new(),
            health: health.to_owned(),
            last_scrape: NEVER.to_owned(),
            last_error: String::new(),
            last_scrape_duration: "0s".to_owned(),
            profile: "mem".to_owned(),
        }
    }

    #[test]
    fn the_documentation_names_every_field() {
        let page = include_str!("../../../../docs/status.md");
        let (_, section) = page.split_once("\n## Scrape targets\n").unwrap();
        let documented: BTreeSet<_> = fields::documented(section).collect();
        let fields = fields::of(&serde_json::to_value(target(UP)).unwrap(), None);
        let fields: BTreeSet<_> = fields.iter().map(String::as_str).collect();
        assert_eq!(documented, fields);
    }

    #[test]
    fn the_page_has_the_form_of_0_37() {
        let json = serde_json::to_value(target("unknown")).unwrap();
        for name in [
            "job",
            "url",
            "health",
            "lastScrape",
            "lastError",
            "lastScrapeDuration",
        ] {
            assert!(json[name].is_string(), "{name}");
        }
        for name in ["labels", "discoveredLabels"] {
            assert!(json[name].is_object(), "{name}");
        }
        assert_eq!(json["lastScrape"], Value::from("0001-01-01T00:00:00Z"));
    }

    #[test]
    fn durations_can_be_read_by_go() {
        for (micros, text) in [
            (0, "0s"),
            (1, "1ms"),
            (12_345, "12ms"),
            (999_999, "999ms"),
            (1_250_000, "1.250s"),
            (75_000_000, "75.000s"),
        ] {
            assert_eq!(go_duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn scrape_targets_are_counted_by_their_health() {
        let targets = [UP, UP, DOWN, DROPPED, "unknown", "later"].map(target);
        let sum = ScrapeJson::of(2, &targets).unwrap();
        assert_eq!((sum.jobs, sum.up, sum.down), (2, 2, 1));
        assert_eq!((sum.unknown, sum.dropped), (2, 1));
        assert_eq!(ScrapeJson::of(0, &[]), None);
    }
}
