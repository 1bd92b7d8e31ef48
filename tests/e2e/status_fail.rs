//! `pyrotee status --fail`: the exit code of a relay in trouble.

use crate::support::{
    Relay, Request, SOON, Upstream,
    command::{Done, pyrotee},
    poll,
    ports::Refusing,
};

const NOT_HEALTHY: &str = "error: not healthy: ";

fn status(relay: &Relay, more: &[&str]) -> Done {
    let admin = relay.admin().to_string();
    pyrotee(&[&["status", "--fail", "--admin", &admin], more].concat())
}

/// Asks until the exit code is 1. The table is on stdout nevertheless.
fn wait_for_trouble(relay: &Relay, word: &str) {
    let failed = poll(SOON, || {
        Some(status(relay, &[])).filter(|it| it.code == Some(1))
    });
    let failed = failed.expect("trouble is found");
    assert!(failed.err.starts_with(NOT_HEALTHY), "{}", failed.all());
    assert!(failed.err.contains(word), "{}", failed.all());
    assert!(failed.out.starts_with("TARGET "), "{}", failed.all());
    let json = status(relay, &["--json"]);
    assert_eq!(json.code, Some(1), "{}", json.all());
    assert!(json.json()["targets"].is_array() && json.err.starts_with(NOT_HEALTHY));
    let admin = relay.admin().to_string();
    assert_eq!(pyrotee(&["status", "--admin", &admin]).code, Some(0));
}

#[test]
fn a_healthy_relay_is_no_failure() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("central", &target, &[])
        .spawn();
    assert_eq!(status(&relay, &[]).code, Some(0), "nothing was sent yet");
    relay.send(&Request::profile("app", b"profile"));
    relay.wait_ledger("central", "sent", |ledger| ledger.sent.profiles == 1);
    let done = status(&relay, &[]);
    assert_eq!(
        (done.code, done.err.as_str()),
        (Some(0), ""),
        "{}",
        done.all()
    );
    assert_eq!(status(&relay, &["--json"]).code, Some(0));
}

#[test]
fn a_target_that_cannot_be_reached_is_named() {
    let (upstream, nobody) = (Upstream::ok(), Refusing::new());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &nobody.url(), &[])
        .spawn();
    relay.send(&Request::profile("app", b"profile"));
    wait_for_trouble(&relay, "target central is open");
    let table = status(&relay, &[]).out;
    let remedy = "\n  remedy: check that a server listens at the address";
    assert!(table.contains(remedy), "{table}");
}

#[test]
fn a_spool_that_cannot_be_opened_is_named() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("central", &target, &[])
        .yaml("spool: { dir: /dev/null/spool }")
        .spawn_with_waiting_spool();
    wait_for_trouble(&relay, "spool is degraded (waiting)");
    let table = status(&relay, &[]).out;
    assert!(
        table.contains("\nspool: /dev/null/spool, waiting, "),
        "{table}"
    );
    assert!(
        table.contains("\nspool (waiting): not open for "),
        "{table}"
    );
}

#[test]
fn nobody_there_is_another_failure() {
    let nobody = Refusing::new();
    let done = pyrotee(&["status", "--fail", "--admin", &nobody.to_string()]);
    assert_eq!(done.code, Some(1));
    assert!(!done.err.contains(NOT_HEALTHY), "{}", done.all());
    assert!(done.err.contains("is the relay running"), "{}", done.all());
}

#[test]
fn a_watch_never_ends_by_itself_so_it_cannot_fail() {
    let done = pyrotee(&["status", "--fail", "--watch"]);
    assert_eq!(done.code, Some(2), "{}", done.all());
}
