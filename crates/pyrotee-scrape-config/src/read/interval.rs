//! How often something is asked.

use std::time::Duration;

use pyrotee_yaml::values;

use super::section::Section;

/// Shortest interval: of a scrape, and of a look at a discovery.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// A duration, at least [`LEAST_INTERVAL`]. Zero means the default, as in 0.37.
pub(super) fn interval(section: &Section<'_>, key: &str, default: Duration) -> Duration {
    let given = section.parse(key, |text| match values::duration(text)? {
        short if !short.is_zero() && short < LEAST_INTERVAL => {
            Err("is shorter than 1s; write one such as 10s".to_owned())
        }
        interval => Ok(interval),
    });
    given.filter(|it| !it.is_zero()).unwrap_or(default)
}
