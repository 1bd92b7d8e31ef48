//! The exporter of metrics.

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use pyrotee_delivery::metrics as delivery;
use pyrotee_proxy::metrics as proxy;
use pyrotee_scrape::metrics as pull;

use super::{config, dead_letters, panics, scrape, shared, spool};

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

/// Seconds: from the shortest interval of a scrape to an hour.
const INTERVAL_SECONDS: [f64; 11] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 600.0, 3_600.0,
];

/// Seconds: from a heap profile on the same machine to a CPU profile of two minutes.
const SCRAPE_SECONDS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 120.0,
];

/// Stacks of a profile. Pyroscope 2.x takes 16,000.
const STACKS: [f64; 8] = [
    10.0, 100.0, 500.0, 1_000.0, 5_000.0, 16_000.0, 50_000.0, 200_000.0,
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
        (pull::INTERVAL_LENGTH, &INTERVAL_SECONDS),
        (pull::DURATION, &SCRAPE_SECONDS),
        (pull::PROFILE_SIZE, &BODY_BYTES),
        (pull::PROFILE_SAMPLES, &STACKS),
    ] {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)?;
    }
    let handle = builder
        .install_recorder()
        .context("failed to install the metrics recorder")?;
    proxy::describe();
    delivery::describe();
    pull::describe();
    config::describe();
    scrape::describe();
    spool::describe();
    shared::describe();
    dead_letters::describe();
    panics::describe();
    metrics_process::Collector::default().describe();
    Ok(handle)
}
