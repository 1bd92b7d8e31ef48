//! The JSON of the admin listener. The relay that writes a document and the command that reads it share one type.
//! A reader must accept unknown fields, because the reader may be older than the relay.

pub mod dead_letters;
pub mod reload;
pub mod scrape;
pub mod shared;
pub mod spool;
pub mod status;

use std::error::Error;
use std::time::{Duration, SystemTime};

use pyrotee_queue::Tally;
use serde::{Deserialize, Serialize};

/// Path of the metrics, which are text and not JSON.
pub(crate) const METRICS: &str = "/metrics";

/// `POST` with `?target=NAME` deletes the queued profiles of the target, counted as `admin`. Profiles that are being
/// uploaded are kept, and the target continues. The response is an [`Amount`].
pub const PURGE: &str = "/api/v1/purge";

/// Version of the relay and of the commands, which is the version of the workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A number of profiles and the length of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub profiles: u64,
    /// Length of the profiles' bodies.
    pub bytes: u64,
}

impl From<Tally> for Amount {
    fn from(Tally { profiles, bytes }: Tally) -> Self {
        Self { profiles, bytes }
    }
}

/// A document as one line of JSON.
pub(crate) fn line(document: &impl Serialize) -> String {
    let json = serde_json::to_string(document);
    json.expect("a tree of texts and numbers is writable as JSON") + "\n"
}

/// An error with its causes, joined by `: `.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A time as documents hold it: RFC 3339 in UTC, to the millisecond.
pub fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// A duration in seconds, rounded to the millisecond, because finer digits make the page harder to read.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// Helpers for tests that compare a page's documentation with its fields.
#[cfg(test)]
pub(crate) mod fields {
    use std::collections::BTreeSet;

    use serde_json::Value;

    /// Every field of `page` as the documentation names it: `targets[].name`, `dropped.REASON.bytes`. The keys of
    /// the object named `map` are data.
    pub(crate) fn of(page: &Value, map: Option<&str>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(page, map, "", &mut found);
        found
    }

    /// The first word in code of every row of a table.
    pub(crate) fn documented(tables: &str) -> impl Iterator<Item = &str> {
        let rows = tables.lines().filter(|line| line.starts_with("| `"));
        rows.filter_map(|row| row.split('`').nth(1))
    }

    fn collect(value: &Value, map: Option<&str>, path: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(of) => {
                let is_map = map.is_some() && path.rsplit('.').next() == map;
                for (name, value) in of {
                    let path = format!("{path}.{}", if is_map { "REASON" } else { name });
                    found.insert(path.trim_start_matches('.').to_owned());
                    collect(value, map, &path, found);
                }
            }
            Value::Array(of) => of
                .iter()
                .for_each(|it| collect(it, map, &format!("{path}[]"), found)),
            _ => {}
        }
    }
}
