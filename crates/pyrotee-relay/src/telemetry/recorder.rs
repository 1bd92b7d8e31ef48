//! The exporter of metrics.

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use pyrotee_delivery::metrics as delivery;
use pyrotee_proxy::metrics as proxy;

use super::{config, dead_letters, panics, scrape, spool};

/// Seconds: from a fast answer on the same machine to the longest timeout.
const REQUEST_SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// Seconds: Go's default buckets, which Pyroscope 0.37 used.
const LEGACY_SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Seconds: from an empty queue to the hour after which Pyroscope rejects profiles.
const QUEUE_SECONDS: [f64; 12] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0,
];

/// Bytes: 1 KiB to 64 MiB.
const BODY_BYTES: [f64; 9] = [
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Installs the recorder for the whole process; the returned handle renders `/metrics`.
pub(crate) fn install() -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    // The exporter renders a histogram without buckets as a summary.
    for (name, buckets) in [
        (proxy::REQUEST_DURATION, REQUEST_SECONDS.as_slice()),
        (proxy::BODY_BYTES, &BODY_BYTES),
        (delivery::RESPONSE_TIME, &LEGACY_SECONDS),
        (delivery::REQUEST_DURATION, &REQUEST_SECONDS),
        (delivery::ENQUEUE_TO_SENT, &QUEUE_SECONDS),
    ] {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)?;
    }
    let handle = builder
        .install_recorder()
        .context("failed to install the metrics recorder")?;
    proxy::describe();
    delivery::describe();
    config::describe();
    scrape::describe();
    spool::describe();
    dead_letters::describe();
    panics::describe();
    metrics_process::Collector::default().describe();
    Ok(handle)
}
