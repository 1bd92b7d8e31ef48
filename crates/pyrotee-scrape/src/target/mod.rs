//! Scrape targets of a job: from the labels of an address to the URL that is scraped and the name of the series.
//!
//! The rules are those of Pyroscope 0.37 (`pkg/scrape/target.go`), except that a label `__profile_NAME_param_KEY` sets
//! the parameter `KEY`, that `__scrape_timeout__` works without `__scrape_interval__`, and that an IPv6 address needs no
//! brackets where it has no port.

mod address;
mod labels;
mod series;
mod timing;
mod url;

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;
use pyroscope_wire::scrape::Group;
use pyrotee_scrape_config::{Job, JobProfile};

use timing::Timing;

pub(crate) use address::without_user;

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// Time limit of a request where neither the job nor a label sets one: that of Pyroscope 0.37.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// The profiler of a scrape target that names none.
const DEFAULT_SPY: &str = "gospy";

/// One profile of one application address: what a loop scrapes. Equal labels, URL and profile are the same loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScrapeTarget {
    /// All labels but `__meta_…`, those that begin with `__` included.
    pub(crate) labels: Labels,
    /// Labels as they were discovered, with the defaults of the job, and with `__meta_…`.
    pub(crate) discovered: Labels,
    /// Scheme, host and port, path and query.
    pub(crate) url: Uri,
    /// Key of the profile in `Job::profiles`.
    pub(crate) profile: String,
    /// The query parameter `name`, such as `shop.cart{env=prod}`: every Pyroscope accepts it.
    pub(crate) name: String,
    /// The query parameter `spyName`.
    pub(crate) spy_name: String,
    pub(crate) interval: Duration,
    /// Time limit of a whole request.
    pub(crate) timeout: Duration,
    /// How long the application collects before it responds: `seconds` of the query.
    pub(crate) seconds: Option<Duration>,
    pub(crate) origin: Origin,
}

/// Who named the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `static-configs`: the operator's word, any address.
    Static,
    /// A file or a server: connections to loopback, link-local and own addresses are refused.
    Discovered,
}

/// An address that is not scraped, or a source of addresses that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DroppedTarget {
    /// The address as it was discovered, without user and password; empty for a source.
    pub(crate) address: String,
    pub(crate) discovered: Labels,
    /// Why, and what to do.
    pub(crate) reason: String,
}

/// The scrape targets of one address of `group`: one for each enabled profile. An address or a profile that cannot be
/// scraped goes to `dropped`.
pub(crate) fn of_address(
    job: &Job,
    group: &Group,
    address: &str,
    origin: Origin,
    dropped: &mut Vec<DroppedTarget>,
) -> Vec<ScrapeTarget> {
    let discovered = labels::discovered(job, group, address);
    let mut drop_target = |reason| {
        dropped.push(DroppedTarget {
            address: without_user(address).to_owned(),
            discovered: discovered.clone(),
            reason,
        });
    };
    let address = match Address::new(job, group, &discovered, origin) {
        Ok(address) => address,
        Err(reason) => {
            drop_target(reason);
            return Vec::new();
        }
    };
    let enabled = job.profiles.iter();
    let enabled = enabled.filter(|(name, profile)| is_enabled(name, profile, &discovered));
    let mut targets = Vec::new();
    for (name, profile) in enabled {
        match address.target(name, profile) {
            Ok(target) => targets.push(target),
            Err(reason) => drop_target(format!("profile {name}: {reason}")),
        }
    }
    targets
}

/// Whether a profile is scraped: a label `__profile_NAME_enabled` overrides the list of the job.
fn is_enabled(name: &str, profile: &JobProfile, labels: &Labels) -> bool {
    match labels.get(&format!("__profile_{name}_enabled")) {
        Some(enabled) => enabled == "true",
        None => profile.is_enabled,
    }
}

/// What the profiles of one address have in common.
struct Address<'l> {
    discovered: &'l Labels,
    labels: Labels,
    /// Scheme, host and port.
    base: pyrotee_net::Address,
    name: String,
    timing: Timing,
    origin: Origin,
}

impl<'l> Address<'l> {
    /// # Errors
    /// The reason why the address cannot be scraped.
    fn new(
        job: &Job,
        group: &Group,
        discovered: &'l Labels,
        origin: Origin,
    ) -> Result<Self, String> {
        let get = |name: &str| discovered.get(name).map_or("", String::as_str);
        let base = address::parse(get(labels::SCHEME), get(labels::ADDRESS))?;
        let labels = labels::resolved(discovered, &address::with_port(&base));
        let own = |name: &str| group.labels.get(name).map(String::as_str);
        Ok(Self {
            name: series::name(get(labels::APPLICATION), &labels)?,
            timing: Timing::new(job, own(labels::INTERVAL), own(labels::TIMEOUT))?,
            discovered,
            labels,
            base,
            origin,
        })
    }

    /// # Errors
    /// The reason why the profile cannot be scraped.
    fn target(&self, name: &str, profile: &JobProfile) -> Result<ScrapeTarget, String> {
        let profile = &profile.profile;
        let params = url::params(name, profile, &self.labels);
        let (seconds, timeout) = self.timing.of_profile(profile, &params)?;
        let spy = self.labels.get(labels::SPY).map(String::as_str);
        Ok(ScrapeTarget {
            url: url::of_profile(&self.base, name, profile, &params, &self.labels)?,
            labels: self.labels.clone(),
            discovered: self.discovered.clone(),
            profile: name.to_owned(),
            name: self.name.clone(),
            spy_name: spy.unwrap_or(DEFAULT_SPY).to_owned(),
            interval: self.timing.interval,
            timeout,
            seconds,
            origin: self.origin,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
