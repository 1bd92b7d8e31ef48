//! Keys of the process that change while it runs: `admin-token`, `admin-hosts`, `log.level` and `shutdown.grace`.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{log_lines, on_request, send, upload};
use crate::support::{Answer, Relay, Report, Request, SOON, Upstream, client, eventually};

/// Reloads with a token, and returns the status of the response.
fn reload_as(relay: &Relay, token: &str) -> u16 {
    let post = Request::new("POST", "/-/reload");
    let post = post.field("Authorization", &format!("Bearer {token}"));
    client::send(relay.admin(), &post).status()
}

#[test]
fn the_admin_token_changes() {
    let target = Upstream::ok();
    let none = on_request().target("central", &target, &[]);
    let with = |token: &str| none.clone().yaml(&format!("admin-token: {token}"));
    let relay = none.clone().spawn();
    let report: Report = relay.reload_with(&with("S3cr-one"));
    assert!(report.has_change("admin-token", "added"), "{report:?}");
    assert_eq!(relay.ask_to_reload().status(), 401);
    assert_eq!(reload_as(&relay, "S3cr-one"), 200);
    relay.rewrite(&with("S3cr-two"));
    assert_eq!(
        reload_as(&relay, "S3cr-one"),
        200,
        "it is in force until the reload"
    );
    assert_eq!(reload_as(&relay, "S3cr-one"), 401);
    assert_eq!(reload_as(&relay, "S3cr-two"), 200);
    relay.rewrite(&none);
    assert_eq!(reload_as(&relay, "S3cr-two"), 200);
    assert_eq!(relay.ask_to_reload().status(), 200, "loopback needs none");
    assert!(!relay.output().contains("S3cr-"), "{}", relay.output());
}

#[test]
fn the_names_of_the_admin_listener_change() {
    let target = Upstream::ok();
    let builder = on_request().target("central", &target, &[]);
    let relay = builder.clone().spawn();
    let ask = |host: &str| {
        let request = Request::get("/api/v1/status").field("Host", host);
        client::send(relay.admin(), &request).status()
    };
    assert_eq!((ask("relay.example"), ask("other.example")), (200, 421));
    let text = relay.text_of(&builder);
    let changed = text.replace("relay.example", "relay.example, other.example");
    relay.config().rename_over(&changed);
    assert_eq!(relay.reload().result(), "changed");
    assert_eq!((ask("relay.example"), ask("other.example")), (200, 200));
    relay.config().rename_over(&text);
    assert_eq!(relay.reload().result(), "changed");
    assert_eq!((ask("relay.example"), ask("other.example")), (200, 421));
}

#[test]
fn the_level_of_the_log_changes() {
    let target = Upstream::ok();
    let builder = on_request().target("central", &target, &[]);
    let at = |level: &str| builder.clone().yaml(&format!("log: {{ level: {level} }}"));
    let relay = at("info").spawn();
    let lines = || log_lines(&relay, "\"TRACE\"") + log_lines(&relay, "\"DEBUG\"");
    upload(&relay, &target, "a");
    assert_eq!(lines(), 0, "{}", relay.output());
    relay.reload_with(&at("trace"));
    upload(&relay, &target, "b");
    eventually(SOON, "lines of the trace", || lines() > 0);
    relay.reload_with(&at("warn"));
    // The last lines of the trace may still be on their way.
    thread::sleep(Duration::from_millis(300));
    let before = relay.output().lines().count();
    upload(&relay, &target, "c");
    relay.reload();
    thread::sleep(Duration::from_millis(300));
    let log = relay.output();
    let later: Vec<_> = log.lines().skip(before).collect();
    assert!(later.is_empty(), "{later:#?}");
}

#[test]
fn the_grace_of_a_stop_changes() {
    let stuck = Upstream::answering(Answer::never());
    let with = |grace: &str| {
        on_request()
            .yaml(&format!("shutdown: {{ grace: {grace} }}"))
            .target("central", &stuck, &["timeout: 1m"])
    };
    let mut relay = with("1m").spawn();
    send(&relay, &["app"]);
    stuck.wait_for(1, SOON);
    relay.reload_with(&with("0"));
    let start = Instant::now();
    relay.sigterm();
    assert!(
        relay.wait(SOON).is_some(),
        "it ends after {:?}",
        start.elapsed()
    );
}
