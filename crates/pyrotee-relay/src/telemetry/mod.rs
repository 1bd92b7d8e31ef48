//! Logs and metrics.

mod account;
mod dead_letters;
mod logs;
mod panics;
mod recorder;
mod removed;
mod scrape;
mod series;
mod spool;

pub(crate) use logs::install as install_logs;
pub(crate) use recorder::install as install_metrics;
pub(crate) use scrape::Scrape;
