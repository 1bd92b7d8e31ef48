//! Series of targets that come and go.

use super::{on_request, send, upload, wait_until_drained};
use crate::support::{Count, Upstream};

const TARGET_INFO: &str = "pyroscope_remote_write_target_info";

#[test]
fn a_removed_target_keeps_its_final_counts_in_the_scrape() {
    let (central, old) = (Upstream::ok(), Upstream::ok());
    let without = on_request().target("central", &central, &[]);
    let relay = without.clone().target("old", &old, &[]).spawn();
    send(&relay, &["a", "b"]);
    relay.wait_ledger("old", "all sent", |it| it.sent.profiles == 2);
    relay.reload_with(&without);
    wait_until_drained(&relay, "old");
    upload(&relay, &central, "later");
    let ledger = relay.ledger("old");
    assert_eq!(
        (ledger.accepted, ledger.sent),
        (Count::new(2, 14), Count::new(2, 14))
    );
    let sent = "pyroscope_remote_write_client_sent_bytes";
    let metrics = relay.metrics();
    assert_eq!(metrics.sum(sent, &[("target_name", "old")]), 14.0);
}

#[test]
fn an_added_target_has_its_series_at_zero_at_once() {
    let central = Upstream::ok();
    let one = on_request().target("central", &central, &[]);
    let relay = one.clone().spawn();
    relay.reload_with(&one.target("other", &central, &["tenant-id: t", "queue-size: 7"]));
    let metrics = relay.metrics();
    assert_eq!(metrics.ledger("other").accepted, Count::default());
    let labels = [
        ("target", "other"),
        ("address", &*central.url()),
        ("tenant", "t"),
    ];
    assert_eq!(metrics.value(TARGET_INFO, &labels), Some(1.0));
    let healthy = [("target", "other"), ("state", "healthy")];
    let state = "pyroscope_remote_write_target_state";
    assert_eq!(metrics.value(state, &healthy), Some(1.0));
    let capacity = "pyroscope_remote_write_queue_capacity";
    assert_eq!(
        metrics.value(capacity, &[("target_name", "other")]),
        Some(7.0)
    );
}

#[test]
fn a_changed_limit_is_in_the_next_scrape() {
    let central = Upstream::ok();
    let with = |options: &[&str]| on_request().target("central", &central, options);
    let relay = with(&["queue-size: 7", "queue-workers: 3"]).spawn();
    let value = |name: &str| {
        let name = format!("pyroscope_remote_write_{name}");
        relay.metrics().value(&name, &[("target_name", "central")])
    };
    let both = || [value("queue_capacity"), value("queue_workers_total")];
    assert_eq!(both(), [Some(7.0), Some(3.0)]);
    relay.reload_with(&with(&["queue-size: 9", "queue-workers: 5"]));
    assert_eq!(both(), [Some(9.0), Some(5.0)]);
}

#[test]
fn the_series_of_reloads_are_there_from_the_start() {
    let central = Upstream::ok();
    let relay = on_request().target("central", &central, &[]).spawn();
    for (name, value) in [
        ("last_reload_successful", 1.0),
        ("reloads_total", 0.0),
        ("reloads_errors_total", 0.0),
        ("restart_required", 0.0),
        ("stale_files", 0.0),
    ] {
        assert_eq!(relay.config_metric(name), value, "{name}");
    }
    let config = relay.status()["config"].clone();
    assert!(config["loaded_at"].is_string(), "{config}");
    assert!(config["last_attempt_at"].is_null(), "{config}");
    assert_eq!(config["last_reload_successful"], true);
    for list in ["faults", "restart_required", "stale_files"] {
        assert_eq!(config[list], serde_json::json!([]), "{list}");
    }
    assert_eq!(
        relay.metrics().kind("pyroscope_relay_config_info"),
        Some("gauge")
    );
}
