//! Pull mode as it is configured: the block `scrape-configs` of Pyroscope 0.37, and the limits in `scrape` (ADR 15).
//!
//! The types are plain values: the configuration makes them, and the scraper works with them.

mod job;

pub use job::{
    FileDiscovery, HttpClientSettings, HttpDiscovery, Job, JobProfile, Limits, Scheme, Scrape,
};
