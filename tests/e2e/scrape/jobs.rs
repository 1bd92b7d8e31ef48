//! Jobs that come and go, and relays without an upstream.

use serde_json::Value;

use super::app::App;
use super::{job, sent, wait_for, with_target};
use crate::support::{Relay, Request, SOON, Upstream, client, eventually};

const TARGETS: &str = "pyroscope_scrape_target_pool_targets";

/// The list of scrape targets.
fn targets(relay: &Relay) -> Vec<Value> {
    let response = client::send(relay.admin(), &Request::get("/targets"));
    assert_eq!(response.status(), 200, "{response:?}");
    response.json().as_array().unwrap().clone()
}

#[test]
fn a_reload_adds_and_removes_a_job() {
    let (app, local) = (App::new(&[]), Upstream::ok());
    let without = Relay::builder()
        .yaml("reload: { interval: 0 }")
        .upstream(&local);
    let relay = without.clone().spawn();
    assert_eq!(targets(&relay), [Value::Null; 0]);
    assert_eq!(relay.status()["scrape"], Value::Null);

    relay.reload_with(&without.clone().yaml(&job(&app, "cpu")));
    wait_for(&local, "samples", 1);
    eventually(SOON, "health up", || {
        targets(&relay).iter().all(|it| it["health"] == "up")
    });
    let shown = targets(&relay);
    assert_eq!((shown.len(), &shown[0]["job"]), (1, &Value::from("shop")));
    assert_eq!(relay.status()["scrape"]["up"], 1);
    let labels = [("scrape_job", "shop")];
    assert_eq!(relay.metrics().value(TARGETS, &labels), Some(1.0));

    relay.reload_with(&without);
    assert_eq!(targets(&relay), [Value::Null; 0]);
    eventually(SOON, "no loops", || {
        relay.metrics().value(TARGETS, &labels) == Some(0.0)
    });
}

#[test]
fn scraped_profiles_go_to_the_targets_alone_if_local_writes_are_disabled() {
    let (app, target) = (App::new(&[]), Upstream::ok());
    let builder = Relay::builder().remote_write("disable-local-writes: true");
    let relay = with_target(builder, &target)
        .yaml(&job(&app, "cpu"))
        .spawn();
    wait_for(&target, "samples", 1);
    let failures = "pyroscope_relay_scrape_failures_total";
    assert_eq!(relay.metrics().sum(failures, &[]), 0.0);
}

#[test]
fn scraped_profiles_go_to_the_upstream_alone_without_targets() {
    let (app, local) = (App::new(&[]), Upstream::ok());
    let builder = Relay::builder().upstream(&local);
    let _relay = builder.yaml(&job(&app, "cpu")).spawn();
    assert!(!wait_for(&local, "samples", 1).is_empty());
    assert!(sent(&local, "alloc_space").is_empty());
}

#[test]
fn a_profile_that_the_upstream_refuses_is_counted_and_shown() {
    let app = App::new(&[]);
    let local = Upstream::answering(crate::support::Answer::status(401, b"no org id"));
    let builder = Relay::builder().upstream(&local);
    let relay = builder.yaml(&job(&app, "cpu")).spawn();
    let labels = [("scrape_job", "shop"), ("reason", "refused")];
    eventually(SOON, "a refusal", || {
        let failures = "pyroscope_relay_scrape_failures_total";
        relay.metrics().value(failures, &labels) >= Some(1.0)
    });
    let error = targets(&relay)[0]["lastError"].to_string();
    assert!(
        error.contains("401") && error.contains("no org id"),
        "{error}"
    );
}
