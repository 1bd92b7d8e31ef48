//! Logs and metrics.

mod dead_letters;
mod logs;
mod recorder;
mod scrape;
mod spool;
mod watched;

pub(crate) use logs::install as install_logs;
pub(crate) use recorder::install as install_metrics;
pub(crate) use scrape::Scrape;
pub(crate) use watched::Watched;

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are f64; 2^53 bytes are never reached"
)]
fn float(value: u64) -> f64 {
    value as f64
}
