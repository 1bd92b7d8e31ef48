//! What makes a relay reload, who may ask, and keys that need a restart.

use std::{thread, time::Duration};

use rustix::process::Signal;
use serde_json::json;

use super::{by_itself, let_it_look, log_lines, on_request, tag, upload};
use crate::support::{
    Builder, Relay, Request, SOON, Upstream, client,
    command::{pyrotee, run, start},
    eventually, poll,
};

fn version(base: Builder, target: &Upstream, version: &str) -> Builder {
    let tags = format!("tags: {{ v: \"{version}\" }}");
    base.target("central", target, &[&tags])
}

fn ask(relay: &Relay, request: &Request) -> client::Response {
    client::send(relay.admin(), request)
}

fn post() -> Request {
    Request::new("POST", "/-/reload")
}

#[test]
fn sighup_reloads() {
    let target = Upstream::ok();
    let mut relay = version(on_request(), &target, "old").spawn();
    relay.rewrite(&version(on_request(), &target, "new"));
    relay.signal(Signal::HUP);
    relay.wait_config_metric("reloads_total", 1.0);
    assert_eq!(
        tag(&upload(&relay, &target, "app"), "v").as_deref(),
        Some("new")
    );
    // With a faulty file it neither ends the process nor changes anything.
    relay.rewrite(&version(
        on_request().yaml("no-such-key: 1"),
        &target,
        "bad",
    ));
    relay.signal(Signal::HUP);
    relay.wait_config_metric("reloads_errors_total", 1.0);
    assert_eq!(
        tag(&upload(&relay, &target, "still"), "v").as_deref(),
        Some("new")
    );
    assert!(relay.wait(Duration::ZERO).is_none(), "it runs");
}

#[test]
fn a_file_that_changes_is_taken_without_being_asked_only_with_an_interval() {
    let target = Upstream::ok();
    let never = version(on_request(), &target, "old").spawn();
    never.rewrite(&version(on_request(), &target, "new"));
    let often = version(by_itself(), &target, "old").spawn();
    let hash = never.hash();
    let before = often.hash();
    often.rewrite(&version(by_itself(), &target, "new"));
    eventually(SOON, "a change", || often.hash() != before);
    let_it_look();
    assert_eq!(never.hash(), hash);
    assert_eq!(never.config_metric("reloads_total"), 0.0);
    // The interval itself changes.
    let on = version(
        Relay::builder().yaml("reload: { interval: 200ms }"),
        &target,
        "on",
    );
    let on = on.remote_write("disable-local-writes: true");
    never.reload_with(&on);
    let hash = never.hash();
    never.rewrite(&on.clone().yaml("tee: { max-body: 1MiB }"));
    eventually(SOON, "a change", || never.hash() != hash);
    never.reload_with(&version(on_request(), &target, "off"));
    let hash = never.hash();
    never.rewrite(&on);
    let_it_look();
    assert_eq!(never.hash(), hash);
}

#[test]
fn a_reload_reports_what_changed() {
    let (target, other) = (Upstream::ok(), Upstream::ok());
    let one = version(on_request(), &target, "old");
    let relay = one.clone().spawn();
    let report = relay.reload();
    assert_eq!(
        (report.result(), report.hash()),
        ("unchanged", &*relay.hash())
    );
    let two =
        version(on_request(), &target, "new").target("other", &other, &["auth-token: S3cr-t"]);
    let report = relay.reload_with(&two);
    assert_eq!(report.hash(), relay.hash());
    assert_eq!(report.target("central"), Some("changed"));
    assert_eq!(report.target("other"), Some("added"));
    assert!(
        report.has_change("remote-write.targets.other", "added"),
        "{report:?}"
    );
    assert!(report.texts("faults").is_empty() && report.texts("restart_required").is_empty());
    assert!(!format!("{report:?}").contains("S3cr-"), "{report:?}");
    let info = "pyroscope_relay_config_info";
    let metrics = relay.metrics();
    let hashes = metrics.labels(info);
    assert_eq!(hashes.len(), 1, "{hashes:?}");
    assert_eq!(hashes[0]["hash"], report.hash());
    // A secret that changes is a change, and the hash does not show it.
    let before = report.hash().to_owned();
    let three =
        version(on_request(), &target, "new").target("other", &other, &["auth-token: S3cr-u"]);
    let report = relay.reload_with(&three);
    assert_eq!(report.hash(), before);
    assert!(
        report.has_change("remote-write.targets.other.auth-token", "changed"),
        "{report:?}"
    );
    assert_eq!(report.targets(), [("other", "changed")]);
    assert_eq!(relay.config_metric("reloads_total"), 3.0);
}

#[test]
fn the_command_prints_what_changed() {
    let (target, other) = (Upstream::ok(), Upstream::ok());
    let relay = version(on_request(), &target, "old").spawn();
    let admin = relay.admin().to_string();
    let reload = || pyrotee(&["reload", "--admin", &admin]);
    reload().expect(0, &["nothing changed"]);
    let both = version(on_request(), &target, "new").target("other", &other, &[]);
    relay.rewrite(&both);
    reload().expect(0, &["central", "changed", "tags.v", "other", "added"]);
    relay.rewrite(&both.clone().yaml("memory-limit: 64MiB"));
    reload().expect(0, &["restart", "memory-limit"]);
    relay.rewrite(&both.yaml("no-such-key: 1"));
    let refused = reload();
    assert_eq!(refused.code, Some(2), "{}", refused.all());
    assert!(refused.err.contains("no-such-key"), "{}", refused.all());
}

#[test]
fn the_command_fails_without_a_relay() {
    let address = Upstream::ok().stop().to_string();
    pyrotee(&["reload", "--admin", &address]).expect(1, &[&address]);
}

#[test]
fn a_reload_is_guarded_as_other_actions_are() {
    let target = Upstream::ok();
    let relay = on_request().target("central", &target, &[]).spawn();
    assert_eq!(ask(&relay, &Request::get("/-/reload")).status(), 405);
    for (field, value) in [("X-Forwarded-For", "1"), ("Origin", "http://evil.example")] {
        assert_eq!(
            ask(&relay, &post().field(field, value)).status(),
            403,
            "{field}"
        );
    }
    assert_eq!(
        ask(&relay, &post().field("Host", "evil.example")).status(),
        421
    );
    assert_eq!(relay.config_metric("reloads_total"), 0.0);

    let relay = on_request()
        .yaml("admin-token: let-me-in")
        .target("central", &target, &[])
        .spawn();
    assert_eq!(ask(&relay, &post()).status(), 401);
    let guess = post().field("Authorization", "Bearer guess");
    assert_eq!(ask(&relay, &guess).status(), 401);
    assert_eq!(relay.config_metric("reloads_total"), 0.0);
    let right = post().field("Authorization", "Bearer let-me-in");
    assert_eq!(ask(&relay, &right).json()["result"], "unchanged");
    let admin = relay.admin().to_string();
    let reload = ["reload", "--admin", &admin];
    pyrotee(&reload).expect(1, &["401", "PYROTEE_ADMIN_TOKEN"]);
    let with = |environment: &[(&str, &str)]| run("admin-token: let-me-in\n", &reload, environment);
    with(&[("PYROTEE_ADMIN_TOKEN", "let-me-in")]).expect(0, &["nothing changed"]);
    with(&[("PYROTEE_CONFIG", "pyrotee.yaml")]).expect(0, &["nothing changed"]);
}

#[test]
fn of_a_key_that_needs_a_restart_the_rest_of_the_file_is_taken() {
    let target = Upstream::ok();
    let relay = version(on_request(), &target, "old").spawn();
    let changed = |v: &str| version(on_request().yaml("memory-limit: 64MiB"), &target, v);
    let report = relay.reload_with(&changed("new"));
    assert_eq!(report.texts("restart_required"), ["memory-limit"]);
    assert_eq!(
        tag(&upload(&relay, &target, "app"), "v").as_deref(),
        Some("new")
    );
    assert_eq!(
        relay.status()["config"]["restart_required"],
        json!(["memory-limit"])
    );
    assert_eq!(relay.config_metric("restart_required"), 1.0);
    assert_eq!(relay.config_metric("last_reload_successful"), 1.0);
    let line = |line: &str| line.contains("memory-limit") && line.contains("restart");
    assert!(relay.output().lines().any(line), "{}", relay.output());
    let limit = || {
        relay
            .metrics()
            .value("pyroscope_relay_memory_limit_bytes", &[])
    };
    assert_ne!(
        limit(),
        Some(f64::from(64 << 20)),
        "the limit is that of the start"
    );
    let admin = relay.admin().to_string();
    pyrotee(&["status", "--admin", &admin]).expect(0, &["memory-limit"]);
    // Another reload still says so.
    let report = relay.reload_with(&changed("newer"));
    assert_eq!(report.texts("restart_required"), ["memory-limit"]);
    assert_eq!(relay.reload().texts("restart_required"), ["memory-limit"]);

    let report = relay.reload_with(&version(on_request(), &target, "newer"));
    assert!(report.texts("restart_required").is_empty(), "{report:?}");
    assert_eq!(relay.status()["config"]["restart_required"], json!([]));
    assert_eq!(relay.config_metric("restart_required"), 0.0);
}

#[test]
fn a_listener_that_changes_stays_where_it_is_until_a_restart() {
    let target = Upstream::ok();
    let relay = version(on_request(), &target, "old").spawn();
    let text = relay.text_of(&version(on_request(), &target, "new"));
    let moved = text.replace("listen: \"127.0.0.1:0\"", "listen: \"127.0.0.1:1\"");
    assert_ne!(moved, text);
    relay.config().rename_over(&moved);
    let report = relay.reload();
    assert_eq!(report.texts("restart_required"), ["listen"]);
    assert_eq!(
        tag(&upload(&relay, &target, "app"), "v").as_deref(),
        Some("new")
    );
}

#[test]
fn reloads_at_the_same_time_all_get_a_report() {
    let target = Upstream::ok();
    let relay = version(on_request(), &target, "old").spawn();
    relay.rewrite(&version(on_request(), &target, "new"));
    let results: Vec<_> = thread::scope(|scope| {
        let ask = || relay.reload().result().to_owned();
        let all: Vec<_> = (0..5).map(|_| scope.spawn(ask)).collect();
        all.into_iter()
            .map(|it| it.join().expect("a report"))
            .collect()
    });
    let changed = results.iter().filter(|it| *it == "changed").count();
    assert_eq!(changed, 1, "{results:?}");
    assert_eq!(relay.config_metric("reloads_total"), 5.0);
}

#[test]
fn a_relay_without_a_file_has_nothing_to_reload() {
    let target = Upstream::ok();
    let args = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let url = target.url();
    let environment = [
        ("PYROTEE__REMOTE_WRITE__ENABLED", "true"),
        ("PYROTEE__REMOTE_WRITE__TARGETS__CENTRAL__ADDRESS", &*url),
        ("PYROTEE__LOG__FORMAT", "json"),
        ("PYROTEE__RELOAD__INTERVAL", "100ms"),
    ];
    let relay = start("", &args, &environment);
    let admin = poll(SOON, || {
        let log = relay.read("stderr");
        let line = log.lines().find(|it| it.contains("\"admin\""))?;
        let (_, rest) = line.split_once("\"address\":\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    });
    let admin = admin.expect("it listens");
    let reload = || pyrotee(&["reload", "--admin", &admin]);
    eventually(SOON, "readiness", || reload().code == Some(0));
    reload().expect(0, &["nothing changed"]);
    thread::sleep(Duration::from_millis(500));
    let log = relay.read("stderr");
    assert!(!log.contains("configuration file"), "{log}");
    assert!(!log.contains("\"ERROR\""), "{log}");
}

#[test]
fn a_log_names_each_change_and_each_target() {
    let (target, other) = (Upstream::ok(), Upstream::ok());
    let relay = version(on_request(), &target, "old").spawn();
    relay.reload_with(&version(on_request(), &target, "new").target("other", &other, &[]));
    assert!(
        log_lines(&relay, "remote-write.targets.central.tags.v") >= 1,
        "{}",
        relay.output()
    );
    let added = |line: &str| line.contains("\"other\"") && line.contains("added");
    assert!(relay.output().lines().any(added), "{}", relay.output());
}
