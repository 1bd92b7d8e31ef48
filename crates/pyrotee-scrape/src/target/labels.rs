//! The labels of an address.

use std::time::Duration;

use pyroscope_wire::scrape::Group;
use pyrotee_scrape_config::Job;

use super::{DEFAULT_TIMEOUT, Labels};

/// Host and port.
pub(super) const ADDRESS: &str = "__address__";
/// Name of the application.
pub(super) const APPLICATION: &str = "__name__";
pub(super) const INTERVAL: &str = "__scrape_interval__";
pub(super) const SCHEME: &str = "__scheme__";
/// Name of the profiler.
pub(super) const SPY: &str = "__spy_name__";
pub(super) const TIMEOUT: &str = "__scrape_timeout__";

const INSTANCE: &str = "instance";
const JOB: &str = "job";

/// Prefix of labels that describe how an address was found.
const META: &str = "__meta_";

/// The labels of an address as it was found: those of its group, and the defaults of the job where there are none. A
/// label without a value is no label.
pub(super) fn discovered(job: &Job, group: &Group, address: &str) -> Labels {
    let mut labels = group.labels.clone();
    labels.retain(|_, value| !value.is_empty());
    labels.insert(ADDRESS.to_owned(), address.to_owned());
    labels.insert(APPLICATION.to_owned(), group.application.clone());
    if let Some(spy) = &group.spy_name {
        labels.insert(SPY.to_owned(), spy.clone());
    }
    let time = |time: Duration| format!("{time:?}");
    set_default(&mut labels, JOB, &job.name);
    set_default(&mut labels, SCHEME, job.scheme.as_str());
    set_default(&mut labels, INTERVAL, &time(job.interval));
    let timeout = job.timeout.unwrap_or(DEFAULT_TIMEOUT);
    set_default(&mut labels, TIMEOUT, &time(timeout));
    labels
}

/// The labels of a scrape target at `address`, which has its port.
pub(super) fn resolved(discovered: &Labels, address: &str) -> Labels {
    let mut labels = discovered.clone();
    labels.retain(|name, _| !name.starts_with(META));
    set_default(&mut labels, INSTANCE, address);
    labels.insert(ADDRESS.to_owned(), address.to_owned());
    labels
}

fn set_default(labels: &mut Labels, name: &str, value: &str) {
    let set = || value.to_owned();
    labels.entry(name.to_owned()).or_insert_with(set);
}
