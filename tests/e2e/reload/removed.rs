//! Removed targets of a relay with a spool, which keeps their profiles for a day.

use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{names, send, upload, wait_until_drained};
use crate::support::{
    Answer, Builder, Count, Relay, SOON, Upstream, command::pyrotee, eventually, ports::Refusing,
};

const STATE: &str = "pyroscope_remote_write_target_state";

/// A spool that outlives relays, a target that accepts everything, and an address at which nothing listens.
struct Home {
    spool: TempDir,
    fsync: &'static str,
    keep: Upstream,
    dead: Refusing,
}

impl Home {
    fn new() -> Self {
        Self::with_fsync("always")
    }

    fn with_fsync(fsync: &'static str) -> Self {
        Self {
            fsync,
            spool: tempfile::tempdir().expect("a temporary directory can be made"),
            keep: Upstream::ok(),
            dead: Refusing::new(),
        }
    }

    /// A configuration with the target `keep`.
    fn builder(&self, drain: &str) -> Builder {
        Relay::builder()
            .yaml(&spool(self.spool.path(), self.fsync))
            .yaml(&format!("reload: {{ interval: 0, drain: {drain} }}"))
            .yaml("shutdown: { grace: 0s }")
            .remote_write("disable-local-writes: true")
            .target("keep", &self.keep, &[])
    }

    fn with_old(&self, drain: &str) -> Builder {
        self.builder(drain)
            .target_address("old", &self.dead.url(), &[])
    }

    /// A relay with profiles `a`, `b` and `c` for `old`, which the last reload removed.
    fn removed(&self, drain: &str) -> Relay {
        let relay = self.with_old(drain).spawn();
        send(&relay, &["a", "b", "c"]);
        relay.wait_ledger("keep", "all sent", |it| it.sent.profiles == 3);
        let report = relay.reload_with(&self.builder(drain));
        assert_eq!(report.targets(), [("old", "removed")]);
        relay
    }
}

fn spool(dir: &Path, fsync: &str) -> String {
    format!("spool: {{ dir: \"{}\", fsync: {fsync} }}", dir.display())
}

fn sorted(target: &Upstream) -> Vec<String> {
    let mut names = names(target);
    names.sort();
    names
}

/// The same, each name once: after a kill the next relay sends again what was sent in the last moment.
fn distinct(target: &Upstream) -> Vec<String> {
    let mut names = sorted(target);
    names.dedup();
    names
}

/// Waits until the status lists a removed target with this number of pending profiles.
fn wait_until_kept(relay: &Relay, name: &str, profiles: u64) {
    eventually(SOON, &format!("{name} is kept"), || {
        let status = relay.removed_status(name);
        status.is_some_and(|it| it["pending"]["profiles"] == profiles)
    });
}

#[test]
fn what_waits_after_the_draining_is_kept_and_shown_as_removed() {
    for drain in ["0", "1s"] {
        let home = Home::new();
        let relay = home.removed(drain);
        wait_until_drained(&relay, "old");
        wait_until_kept(&relay, "old", 3);
        let ledger = relay.ledger("old");
        assert_eq!(
            (ledger.pending.profiles, ledger.lost()),
            (3, Count::default())
        );
        let labels = [("target", "old"), ("state", "removed")];
        assert_eq!(relay.metrics().value(STATE, &labels), Some(1.0));
        let shown = pyrotee(&["status", "--admin", &relay.admin().to_string()]);
        shown.expect(0, &["old", "removed"]);
        upload(&relay, &home.keep, "later");
        assert_eq!(relay.ledger("old").accepted.profiles, 3);
    }
}

#[test]
fn a_kept_target_that_returns_goes_on_with_its_account() {
    let home = Home::new();
    let relay = home.removed("0");
    wait_until_kept(&relay, "old", 3);
    send(&relay, &["not"]);
    let new = Upstream::ok();
    let report = relay.reload_with(&home.builder("0").target("old", &new, &[]));
    assert_eq!(report.targets(), [("old", "returned")]);
    assert!(relay.removed_status("old").is_none());
    send(&relay, &["d"]);
    let ledger = relay.wait_ledger("old", "all sent", |it| it.pending.profiles == 0);
    assert_eq!(
        (ledger.accepted.profiles, ledger.sent.profiles),
        (4, 4),
        "{ledger:?}"
    );
    assert_eq!(sorted(&new), ["a", "b", "c", "d"]);
    let labels = [("target", "old"), ("state", "removed")];
    assert_eq!(relay.metrics().sum(STATE, &labels), 0.0);
}

#[test]
fn a_restart_ends_the_draining_and_keeps_what_waits() {
    for signal in [Signal::TERM, Signal::KILL] {
        let home = Home::new();
        let mut relay = home.removed("10m");
        assert!(relay.target_status("old").is_some(), "it is draining");
        relay.signal(signal);
        relay.wait(SOON).expect("it ends");
        let mut relay = home.builder("10m").spawn();
        wait_until_kept(&relay, "old", 3);
        assert!(relay.target_status("old").is_none());
        relay.signal(signal);
        relay.wait(SOON).expect("it ends");
        // The target is back at the next start.
        let new = Upstream::ok();
        let relay = home.builder("10m").target("old", &new, &[]).spawn();
        relay.wait_ledger("old", "all sent", |it| it.sent.profiles == 3);
        assert_eq!(sorted(&new), ["a", "b", "c"]);
        assert_eq!(distinct(&home.keep), ["a", "b", "c"]);
    }
}

#[test]
fn a_target_that_a_restart_removed_returns_by_a_reload() {
    let home = Home::new();
    let mut relay = home.with_old("10m").spawn();
    send(&relay, &["a", "b", "c"]);
    relay.wait_ledger("keep", "all sent", |it| it.sent.profiles == 3);
    relay.signal(Signal::KILL);
    relay.wait(SOON).expect("it ends");
    let relay = home.builder("10m").spawn();
    wait_until_kept(&relay, "old", 3);
    send(&relay, &["not"]);
    let new = Upstream::ok();
    relay.reload_with(&home.builder("10m").target("old", &new, &[]));
    send(&relay, &["d"]);
    let ledger = relay.wait_ledger("old", "all sent", |it| it.pending.profiles == 0);
    assert_eq!(
        (ledger.accepted.profiles, ledger.sent.profiles),
        (4, 4),
        "{ledger:?}"
    );
    assert_eq!(sorted(&new), ["a", "b", "c", "d"]);
}

#[test]
fn a_draining_target_can_be_replayed_to_another_one() {
    let home = Home::new();
    let relay = home.removed("10m");
    let admin = relay.admin().to_string();
    let args = [
        "spool", "replay", "--admin", &admin, "--from", "old", "--to", "keep",
    ];
    pyrotee(&args).expect(0, &["3 profiles"]);
    relay.wait_ledger("keep", "all sent", |it| it.sent.profiles == 6);
    wait_until_drained(&relay, "old");
    assert_eq!(sorted(&home.keep), ["a", "a", "b", "b", "c", "c"]);
    let ledger = relay.wait_ledger("old", "handed over", |it| it.pending.profiles == 0);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
}

#[test]
fn a_purge_empties_a_draining_target_and_a_kept_one() {
    for (drain, is_draining) in [("10m", true), ("0", false)] {
        let home = Home::new();
        let relay = home.removed(drain);
        if !is_draining {
            wait_until_kept(&relay, "old", 3);
        }
        let admin = relay.admin().to_string();
        let args = ["spool", "purge", "--admin", &admin, "--target", "old"];
        eventually(SOON, "all are purged", || {
            pyrotee(&args);
            relay.ledger("old").pending.profiles == 0
        });
        let ledger = relay.ledger("old");
        assert_eq!(ledger.dropped("admin").profiles, 3, "{ledger:?}");
        wait_until_drained(&relay, "old");
        assert!(relay.removed_status("old").is_none());
    }
}

#[test]
fn a_new_target_is_delivered_from_the_spool_and_gets_nothing_older() {
    let (home, new) = (Home::new(), Upstream::ok());
    let mut relay = home.with_old("10m").spawn();
    send(&relay, &["a", "b", "c"]);
    let with_new = home.with_old("10m").target("new", &new, &[]);
    assert_eq!(relay.reload_with(&with_new).targets(), [("new", "added")]);
    let stuck = Upstream::answering(Answer::never());
    let at_stuck = home.with_old("10m").target("new", &stuck, &["timeout: 1m"]);
    relay.reload_with(&at_stuck);
    send(&relay, &["d", "e"]);
    relay.wait_ledger("keep", "all sent", |it| it.sent.profiles == 5);
    relay.signal(Signal::KILL);
    relay.wait(SOON).expect("it ends");
    let relay = with_new.spawn();
    relay.wait_ledger("new", "all sent", |it| it.sent.profiles == 2);
    assert_eq!(sorted(&new), ["d", "e"]);
    assert_eq!(relay.ledger("old").pending.profiles, 5);
    assert_eq!(distinct(&home.keep), ["a", "b", "c", "d", "e"]);
}

#[test]
fn targets_change_while_the_spool_waits_for_its_directory() {
    // With `always` a relay whose spool waits accepts nothing.
    let home = Home::with_fsync("interval");
    let mut first = home.with_old("10m").spawn();
    send(&first, &["a", "b", "c"]);
    first.wait_ledger("keep", "all sent", |it| it.sent.profiles == 3);
    // The first relay still uses the directory.
    let mut second = home.with_old("10m").spawn_with_waiting_spool();
    second.wait_until_ready();
    let dead = home.dead.url();
    let with_new = home.builder("10m").target_address("new", &dead, &[]);
    let report = second.reload_with(&with_new);
    assert_eq!(report.target("old"), Some("removed"));
    assert_eq!(report.target("new"), Some("added"));
    send(&second, &["d"]);
    first.sigterm();
    first.wait(SOON).expect("it ends");
    second.wait_until_spool_is_open();
    wait_until_kept(&second, "old", 3);
    assert_eq!(second.ledger("new").pending.profiles, 1);
    let old = Upstream::ok();
    second.reload_with(&with_new.clone().target("old", &old, &[]));
    second.wait_ledger("old", "all sent", |it| it.pending.profiles == 0);
    assert_eq!(sorted(&old), ["a", "b", "c"]);
    second.wait_ledger("keep", "all sent", |it| it.pending.profiles == 0);
    second.signal(Signal::KILL);
    second.wait(SOON).expect("it ends");

    let new = Upstream::ok();
    let third = home.builder("10m").target("new", &new, &[]).spawn();
    third.wait_ledger("new", "all sent", |it| it.sent.profiles == 1);
    assert_eq!(sorted(&new), ["d"]);
    assert_eq!(distinct(&home.keep), ["a", "b", "c", "d"]);
}
