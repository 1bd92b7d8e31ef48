//! The metrics of a scrape.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::{
    Answer, Builder, Count, Metrics, Relay, Request, Rig, SOON, Upstream,
    client::{self, noise},
    pki::Authority,
};

/// Name, type and further labels of the series of Pyroscope 0.37.
const LEGACY: [(&str, &str); 6] = [
    ("pyroscope_remote_write_client_sent_bytes", "counter"),
    ("pyroscope_remote_write_client_response_time", "histogram"),
    ("pyroscope_remote_write_queue_capacity", "gauge"),
    ("pyroscope_remote_write_queue_pending", "gauge"),
    ("pyroscope_remote_write_queue_workers_total", "gauge"),
    ("pyroscope_remote_write_queue_dropped", "counter"),
];

const REASONS: [&str; 16] = [
    "queue_full",
    "spool_full",
    "budget",
    "too_large",
    "invalid_name",
    "undecodable",
    "expired",
    "rejected",
    "ambiguous",
    "upload_failed",
    "duplicate",
    "corrupt",
    "disk_error",
    "shutdown",
    "target_removed",
    "admin",
];

/// A relay after profiles that were sent, rejected and ambiguous, and a request that is no profile.
fn busy() -> Rig {
    busy_with(|builder| builder)
}

fn busy_with(build: impl FnOnce(Builder) -> Builder) -> Rig {
    let target = Upstream::script(|arrival| match arrival.index {
        // The target hangs up on the first connection: on a kept connection the relay would retry the upload.
        0 => Answer::hang_up(),
        1 => Answer::status(400, b"no"),
        _ => Answer::ok(),
    });
    let options = ["queue-workers: 1", "on-ambiguous: drop"];
    let rig = Rig::with(Upstream::ok(), target, &options, build);
    for index in 0..5 {
        rig.send(&Request::profile("app", b"profile"));
        rig.settled(index + 1);
    }
    rig.send(&Request::get("/"));
    rig
}

/// Names of the samples, those of a histogram's parts by the histogram's name.
fn series(metrics: &Metrics) -> BTreeSet<String> {
    let lines = metrics.text().lines();
    let samples = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let parts = ["_bucket", "_sum", "_count"].into_iter();
            let mut stems = parts.filter_map(|part| name.strip_suffix(part));
            let histogram = stems.find(|stem| metrics.kind(stem) == Some("histogram"));
            histogram.unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn the_six_series_of_pyroscope_keep_their_names_types_and_labels() {
    let rig = busy();
    let metrics = rig.relay.metrics();
    let address = rig.target.url();
    let labels = [
        ("target_name", "central"),
        ("target_address", address.as_str()),
    ];
    for (name, kind) in LEGACY {
        assert_eq!(metrics.kind(name), Some(kind), "{name}");
        if kind != "histogram" {
            let found = metrics.labels(name);
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].len(), labels.len(), "{name}: {found:?}");
            assert!(metrics.value(name, &labels).is_some(), "{name}");
        }
    }
    let value = |name: &str| metrics.value(&format!("pyroscope_remote_write_{name}"), &labels);
    assert_eq!(value("queue_capacity"), Some(100.0));
    assert_eq!(value("queue_workers_total"), Some(1.0));
    assert_eq!(value("queue_pending"), Some(0.0));
    assert_eq!(value("queue_dropped"), Some(0.0));
    // The ambiguous upload counts as sent bytes, too.
    assert_eq!(value("client_sent_bytes"), Some(5.0 * 7.0));
}

#[test]
fn the_response_time_is_a_histogram_by_code() {
    let rig = busy();
    let metrics = rig.relay.metrics();
    let address = rig.target.url();
    let name = "pyroscope_remote_write_client_response_time";
    for (code, count) in [("200", 3.0), ("400", 1.0)] {
        let labels = [
            ("target_name", "central"),
            ("target_address", address.as_str()),
            ("code", code),
        ];
        assert_eq!(
            metrics.value(&format!("{name}_count"), &labels),
            Some(count)
        );
        let sum = metrics.value(&format!("{name}_sum"), &labels).unwrap();
        assert!(sum > 0.0 && sum < 20.0, "seconds: {sum}");
        let mut all = labels.to_vec();
        all.push(("le", "+Inf"));
        assert_eq!(metrics.value(&format!("{name}_bucket"), &all), Some(count));
    }
}

#[test]
fn a_profile_the_queue_refuses_is_dropped_in_the_sense_of_pyroscope() {
    let rig = Rig::with(
        Upstream::ok(),
        Upstream::answering(Answer::never()),
        &["queue-size: 1"],
        |builder| builder,
    );
    for _ in 0..4 {
        rig.send(&Request::profile("app", b"profile"));
    }
    let metrics = rig.relay.metrics();
    let labels = [("target_name", "central")];
    let value = |name: &str| metrics.value(&format!("pyroscope_remote_write_{name}"), &labels);
    assert_eq!(value("queue_dropped"), Some(3.0));
    assert_eq!(value("queue_pending"), Some(1.0));
    assert_eq!(value("queue_capacity"), Some(1.0));
}

#[test]
fn the_address_in_a_label_is_the_one_of_the_file_without_its_secrets() {
    let upstream = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", "http://me:pass@127.0.0.1:9/base", &[])
        .spawn();
    let metrics = relay.metrics();
    let labels = metrics.labels("pyroscope_remote_write_queue_capacity");
    assert_eq!(labels[0]["target_address"], "http://127.0.0.1:9/base");
}

#[test]
fn every_series_is_described() {
    let metrics = busy().relay.metrics();
    let text = metrics.text();
    for name in series(&metrics) {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        let kind = metrics.kind(&name);
        assert!(
            matches!(kind, Some("counter" | "gauge" | "histogram")),
            "{name}: {kind:?}"
        );
    }
}

#[test]
fn the_account_of_a_target_is_there_at_zero_before_any_profile() {
    let rig = Rig::new();
    let metrics = rig.relay.metrics();
    let ledger = metrics.ledger("central");
    for count in [ledger.accepted, ledger.sent, ledger.pending, ledger.lost()] {
        assert_eq!(count, Count::default());
    }
    for reason in REASONS {
        for unit in ["profiles", "bytes"] {
            let name = format!("pyroscope_remote_write_dropped_{unit}_total");
            let labels = [("target", "central"), ("reason", reason)];
            assert_eq!(metrics.value(&name, &labels), Some(0.0), "{reason}");
        }
    }
    for (name, kind) in LEGACY {
        if kind != "histogram" {
            assert_eq!(metrics.labels(name).len(), 1, "{name}");
        }
    }
    for kind in ["dns", "connect", "tls", "timeout", "reset"] {
        let labels = [("target", "central"), ("kind", kind)];
        let name = "pyroscope_remote_write_request_errors_total";
        assert_eq!(metrics.value(name, &labels), Some(0.0), "{kind}");
    }
}

#[test]
fn reasons_are_the_closed_list_and_nothing_else() {
    let rig = busy();
    let metrics = rig.relay.metrics();
    for unit in ["profiles", "bytes"] {
        let name = format!("pyroscope_remote_write_dropped_{unit}_total");
        let reasons: BTreeSet<&str> = metrics
            .labels(&name)
            .into_iter()
            .map(|labels| labels["reason"].as_str())
            .collect();
        assert_eq!(reasons, BTreeSet::from(REASONS));
    }
}

#[test]
fn a_name_no_parser_takes_is_accounted_with_its_bytes() {
    let rig = Rig::new();
    let body = noise(10_000);
    rig.send(&Request::post("/ingest?name=", &body));
    rig.send(&Request::chunked(
        "/ingest?name=",
        &[&body[..99], &body[99..]],
        &[],
    ));
    let ledger = rig.settled(2);
    assert_eq!(ledger.dropped("invalid_name"), Count::new(2, 20_000));
    assert!(rig.target.arrivals().is_empty());
}

#[test]
fn metrics_come_in_the_text_format_of_prometheus() {
    let rig = busy();
    // A Prometheus asks for OpenMetrics first; that format would force `_total` onto old names.
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let answer = client::send(
        rig.relay.admin(),
        &Request::get("/metrics").field("Accept", accept),
    );
    assert_eq!(
        answer.head.get("content-type").as_deref(),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = String::from_utf8(answer.body.data).unwrap();
    assert!(text.ends_with('\n'));
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
        assert!(seen.insert(line.to_owned()), "twice: {line}");
    }
    let mut samples = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let sample = line.rsplit_once(' ').map_or("", |(sample, _)| sample);
        assert!(
            sample.is_empty() || samples.insert(sample.to_owned()),
            "twice: {line}"
        );
    }
}

/// The series of a relay that speaks TLS on `admin` and to a target.
fn series_of_tls() -> BTreeSet<String> {
    let files = Authority::new();
    files.issue("relay", "localhost");
    let (cert, key) = (files.text("relay.crt"), files.text("relay.key"));
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml(&format!(
            "admin-tls: {{ cert-file: {cert}, key-file: {key} }}"
        ))
        .target_address(
            "central",
            "https://127.0.0.1:1",
            &["tls: { insecure-skip-verify: true }"],
        )
        .spawn();
    let response = files.get(relay.admin(), "localhost", "/metrics");
    let (_, text) = response.split_once("\r\n\r\n").unwrap();
    series(&Metrics::parse(text))
}

/// The series of a relay that cannot reach the NATS of its shared backlog: they are there all the same.
fn series_of_shared() -> BTreeSet<String> {
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml("shared: { servers: [\"nats://127.0.0.1:1\"] }")
        .target_address("central", "https://127.0.0.1:1", &[])
        .spawn();
    series(&relay.metrics())
}

#[test]
fn the_documentation_lists_the_series_there_are_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{error}: {} lists the metrics", path.display()));
    let quoted = text.split('`').skip(1).step_by(2);
    let documented: BTreeSet<String> = quoted
        .filter(|name| name.starts_with("pyroscope_"))
        .filter_map(|name| name.split('{').next())
        .map(str::to_owned)
        .collect();
    let rig = busy_with(|builder| builder.yaml("spool: { dir: \"{home}/spool\" }"));
    rig.upstream.wait_for(6, SOON);
    let mut shown = series(&rig.relay.metrics());
    shown.extend(series_of_tls());
    shown.extend(series_of_shared());
    shown.extend(series(&crate::scrape::metrics_of_a_job()));
    shown.retain(|name| name.starts_with("pyroscope_"));
    let missing: Vec<_> = shown.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/metrics.md: {missing:?}");
    let invented: Vec<_> = documented.difference(&shown).collect();
    assert!(invented.is_empty(), "not in a scrape: {invented:?}");
}
