//! Interval and time limit of a scrape target.

use std::time::Duration;

use pyroscope_wire::scrape::Profile;
use pyrotee_scrape_config::Job;
use pyrotee_yaml::values::duration;

use super::DEFAULT_TIMEOUT;
use super::labels::{INTERVAL, TIMEOUT};
use super::url::Params;

/// Time beyond `seconds` for the connection and the response, where no time limit is set.
const BEYOND_SECONDS: Duration = Duration::from_secs(5);

/// Largest value of `seconds`: a request must end some time, and a label may come from a list that somebody else writes.
const MAX_SECONDS: u64 = 3_600;

/// Longest interval and time limit of a label.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3_600);

/// Shortest interval: a scrape costs an application more than a counter does.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The times of an address.
#[derive(Debug)]
pub(super) struct Timing {
    /// Time between two scrapes.
    pub(super) interval: Duration,
    /// The time limit that the job or a label sets.
    timeout: Option<Duration>,
}

impl Timing {
    /// The times of the job, or those of the labels `__scrape_interval__` and `__scrape_timeout__`.
    ///
    /// # Errors
    /// A label that is no duration, or too short.
    pub(super) fn new(
        job: &Job,
        interval: Option<&str>,
        timeout: Option<&str>,
    ) -> Result<Self, String> {
        let interval = own(INTERVAL, interval)?.unwrap_or(job.interval);
        if interval < MIN_INTERVAL {
            return Err(format!(
                "{INTERVAL} is shorter than {MIN_INTERVAL:?}: write more"
            ));
        }
        let timeout = own(TIMEOUT, timeout)?;
        if timeout == Some(Duration::ZERO) {
            return Err(format!("{TIMEOUT} is 0: write how long a scrape may take"));
        }
        Ok(Self {
            interval,
            timeout: timeout.or(job.timeout),
        })
    }

    /// The parameter `seconds`, and the time limit of a request for `profile` with `params`.
    ///
    /// # Errors
    /// `seconds` cannot be, for this profile or within the time limit.
    pub(super) fn of_profile(
        &self,
        profile: &Profile,
        params: &Params<'_>,
    ) -> Result<(Option<Duration>, Duration), String> {
        let Some(text) = params.get("seconds").and_then(|values| values.first()) else {
            return Ok((None, self.timeout.unwrap_or(DEFAULT_TIMEOUT)));
        };
        let seconds = text
            .parse()
            .ok()
            .filter(|it| (1..=MAX_SECONDS).contains(it));
        let Some(seconds) = seconds else {
            return Err(format!(
                "the parameter seconds is {text:?}: write whole seconds, from 1 to {MAX_SECONDS}"
            ));
        };
        // The application subtracts every type of values, and a difference of values in use means nothing.
        let mut types = profile.sample_types.values();
        if types.clone().any(|it| it.cumulative) && types.any(|it| !it.cumulative) {
            let text = "the parameter seconds makes all values differences, those in use as well: remove it";
            return Err(text.to_owned());
        }
        let needed = Duration::from_secs(seconds);
        match self.timeout {
            Some(timeout) if needed >= timeout => Err(format!(
                "the parameter seconds is {seconds}, and the time limit is {timeout:?}: write fewer seconds, or raise it"
            )),
            Some(timeout) => Ok((Some(needed), timeout)),
            None => Ok((Some(needed), (needed + BEYOND_SECONDS).max(DEFAULT_TIMEOUT))),
        }
    }
}

/// The duration in a label; `None` without the label.
fn own(name: &str, value: Option<&str>) -> Result<Option<Duration>, String> {
    let Some(text) = value.filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    match duration(text) {
        Ok(parsed) if parsed <= MAX_DURATION => Ok(Some(parsed)),
        Ok(_) => Err(format!("{name} is longer than a day; write less")),
        Err(fault) => Err(format!("{name} is {text:?}: it {fault}")),
    }
}
