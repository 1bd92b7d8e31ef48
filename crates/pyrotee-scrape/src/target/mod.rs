//! Scrape targets of a job: from the labels of an address to the URL that is scraped and the name of the series.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;

/// One profile of one application address: what a loop scrapes. Equal labels, URL and profile are the same loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScrapeTarget {
    /// All labels, those that begin with `__` included.
    pub(crate) labels: BTreeMap<String, String>,
    /// Labels as they were discovered.
    pub(crate) discovered: BTreeMap<String, String>,
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

/// An address that is not scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DroppedTarget {
    /// The address as it was discovered, without user and password.
    pub(crate) address: String,
    pub(crate) discovered: BTreeMap<String, String>,
    /// Why, and what to do.
    pub(crate) reason: String,
}
