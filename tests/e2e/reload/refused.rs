//! Configurations with faults: they change nothing, and everybody who asks is told why.

use super::{by_itself, let_it_look, log_lines, on_request, tag, upload};
use crate::support::{Builder, Relay, SOON, Upstream, client, command::pyrotee, eventually};

/// Two faults, and the word by which each is recognised.
const FAULTS: [(&str, &str); 2] = [
    ("queue-sise: 5", "queue-sise"),
    ("timeout: soon", "timeout"),
];

fn builder(base: Builder, target: &Upstream, version: &str, more: &[&str]) -> Builder {
    let tags = format!("tags: {{ v: \"{version}\" }}");
    let options = [&[&*tags], more].concat();
    base.target("central", target, &options)
}

#[test]
fn a_file_with_faults_changes_nothing_and_every_fault_is_told() {
    let (target, other) = (Upstream::ok(), Upstream::ok());
    let relay = builder(on_request(), &target, "good", &[]).spawn();
    let hash = relay.hash();
    let faulty = builder(on_request(), &target, "bad", &FAULTS.map(|it| it.0));
    relay.rewrite(&faulty.target("other", &other, &[]));
    let report = relay.refused_reload();
    let faults = report.texts("faults");
    assert_eq!(faults.len(), FAULTS.len(), "{faults:?}");
    assert!(report.targets().is_empty() && report.list("changes").is_empty());
    let config = relay.status()["config"].clone();
    let log = relay.output();
    for (_, word) in FAULTS {
        let path = format!("remote-write.targets.central.{word}");
        assert!(faults.iter().any(|it| it.contains(&path)), "{faults:?}");
        assert!(config["faults"].to_string().contains(&path), "{config}");
        assert!(log.contains(&path), "{log}");
    }
    assert_eq!(config["last_reload_successful"], false);
    assert_eq!(
        (config["hash"].as_str(), report.hash()),
        (Some(&*hash), &*hash)
    );
    assert!(config["last_attempt_at"].is_string(), "{config}");
    assert_eq!(relay.config_metric("last_reload_successful"), 0.0);
    assert_eq!(relay.config_metric("reloads_total"), 1.0);
    assert_eq!(relay.config_metric("reloads_errors_total"), 1.0);

    assert_eq!(
        tag(&upload(&relay, &target, "app"), "v").as_deref(),
        Some("good")
    );
    assert!(relay.target_status("other").is_none() && other.arrivals().is_empty());

    let admin = relay.admin().to_string();
    let command = pyrotee(&["reload", "--admin", &admin]);
    assert_eq!(command.code, Some(2), "{}", command.all());
    for (_, word) in FAULTS {
        assert!(command.err.contains(word), "{}", command.all());
    }
    let shown = pyrotee(&["status", "--admin", &admin]);
    shown.expect(0, &["queue-sise", "timeout"]);
}

#[test]
fn the_time_of_the_last_success_stays_while_reloads_are_refused() {
    let target = Upstream::ok();
    let relay = builder(on_request(), &target, "good", &[]).spawn();
    let time = || relay.config_metric("last_reload_success_timestamp_seconds");
    let start = time();
    assert!(start > 0.0);
    relay.rewrite(&builder(on_request(), &target, "bad", &["timeout: soon"]));
    relay.refused_reload();
    assert_eq!(time(), start);
    relay.reload_with(&builder(on_request(), &target, "better", &[]));
    assert!(time() > start);
    assert_eq!(relay.config_metric("last_reload_successful"), 1.0);
}

#[test]
fn a_fault_is_logged_once_and_the_mended_file_is_taken() {
    let target = Upstream::ok();
    let relay = builder(by_itself(), &target, "good", &[]).spawn();
    relay.rewrite(&builder(
        by_itself(),
        &target,
        "bad",
        &FAULTS.map(|it| it.0),
    ));
    relay.wait_config_metric("last_reload_successful", 0.0);
    let_it_look();
    let_it_look();
    for (_, word) in FAULTS {
        assert_eq!(log_lines(&relay, word), 1, "{word}:\n{}", relay.output());
    }
    assert_eq!(relay.config_metric("reloads_errors_total"), 1.0);
    // Another fault is news.
    relay.rewrite(&builder(by_itself(), &target, "bad", &["on-full: burst"]));
    let told = || log_lines(&relay, "on-full") == 1;
    eventually(SOON, "the other fault", told);
    relay.rewrite(&builder(by_itself(), &target, "mended", &[]));
    relay.wait_config_metric("last_reload_successful", 1.0);
    assert_eq!(
        tag(&upload(&relay, &target, "app"), "v").as_deref(),
        Some("mended")
    );
}

#[test]
fn the_file_in_force_put_back_is_no_fault() {
    let target = Upstream::ok();
    let good = builder(by_itself(), &target, "good", &[]);
    let relay = good.clone().spawn();
    let hash = relay.hash();
    relay.rewrite(&builder(by_itself(), &target, "bad", &["timeout: soon"]));
    relay.wait_config_metric("last_reload_successful", 0.0);
    relay.rewrite(&good);
    relay.wait_config_metric("last_reload_successful", 1.0);
    assert_eq!(relay.hash(), hash);
    assert_eq!(relay.status()["config"]["faults"], serde_json::json!([]));
}

#[test]
fn a_name_beyond_the_rules_is_a_fault() {
    let target = Upstream::ok();
    let good = on_request().target("central", &target, &[]);
    let relay = good.clone().spawn();
    for name in ["a".repeat(64), "\"a b\"".to_owned(), "\"a/b\"".to_owned()] {
        relay.rewrite(&good.clone().target(&name, &target, &[]));
        let report = relay.refused_reload();
        let fault = report.texts("faults")[0].to_owned();
        assert!(fault.contains("a target's name has"), "{fault}");
    }
    relay.rewrite(&good);
    assert_eq!(relay.reload().result(), "unchanged");
    upload(&relay, &target, "app");
}

#[test]
fn a_process_has_at_most_a_thousand_names() {
    let target = Upstream::ok();
    let with = |from: usize, count: usize| -> Builder {
        let names = (from..from + count).map(|number| format!("t{number}"));
        names.fold(on_request(), |builder, name| {
            builder.target(&name, &target, &[])
        })
    };
    let relay = with(0, 1).spawn();
    assert_eq!(relay.reload_with(&with(0, 600)).targets().len(), 599);
    relay.rewrite(&with(600, 401));
    let report = relay.refused_reload();
    assert!(report.texts("faults")[0].contains("1000"), "{report:?}");
    assert!(relay.target_status("t599").is_some() && relay.target_status("t600").is_none());
    // Names that were there before are no new ones.
    relay.reload_with(&with(600, 400));
    relay.reload_with(&with(300, 400));
    let answer = client::send(relay.admin(), &client::Request::get("/-/ready"));
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_relay_that_forwards_needs_an_upstream_from_the_start() {
    let target = Upstream::ok();
    let relay = on_request().target("central", &target, &[]).spawn();
    relay.rewrite(&Relay::builder().yaml("reload: { interval: 0 }").target(
        "central",
        &target,
        &[],
    ));
    let report = relay.refused_reload();
    assert!(report.texts("faults")[0].contains("upstream"), "{report:?}");
    upload(&relay, &target, "app");
}
