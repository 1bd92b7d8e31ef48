//! Pull mode as it is configured: the block `scrape-configs` of Pyroscope 0.37, and the limits in `scrape` (ADR 15).
//!
//! [`Job`] and the other types are plain values: the configuration makes them, and the scraper works with them.
//! [`read_jobs`] makes them from the block, which has the keys and defaults of 0.37. The reader is strict: it reports all
//! faults at once, each with line, path and remedy. [`Sources`] gives it what values refer to: variables and files.

mod read;

mod job;
mod sources;

pub use job::{
    FileDiscovery, HttpClientSettings, HttpDiscovery, Job, JobProfile, Limits, Scheme, Scrape,
};
pub use read::{KEY, job_keys, read_jobs};
pub use sources::{Expanded, Sources};

#[cfg(test)]
mod tests;
