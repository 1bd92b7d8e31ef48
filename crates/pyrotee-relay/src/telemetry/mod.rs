//! Logs and metrics.

mod account;
mod config;
mod dead_letters;
mod drop_log;
mod exposition;
mod logs;
mod panics;
mod recorder;
mod removed;
mod scrape;
mod series;
mod shared;
mod spool;
mod target;
mod targets;
mod tls;

pub(crate) use drop_log::DropLog;
pub(crate) use exposition::{escaped, label};
pub(crate) use logs::{LogLevelHandle, install as install_logs};
pub(crate) use recorder::install as install_metrics;
pub(crate) use scrape::Scrape;
