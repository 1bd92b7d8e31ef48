//! Profiles that are queued on disk.

use std::{fs, path::Path, time::Duration};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Client, Count, Relay, Request, SOON, Upstream, client::noise, eventually,
    key::parameter, poll,
};

const MODE: &str = "pyroscope_remote_write_spool_mode";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// A relay without a local upstream whose spool lies in `dir`.
fn relay_only(dir: &Path, more: &str) -> Builder {
    let spool = format!("spool: {{ dir: \"{}\", {more} }}", dir.display());
    Relay::builder()
        .yaml(&spool)
        .remote_write("disable-local-writes: true")
}

fn send(relay: &Relay, names: impl IntoIterator<Item = String>) {
    let mut client = Client::connect(relay.addr());
    for name in names {
        let answer = client.exchange(&Request::profile(&name, &noise(5_000)));
        assert_eq!(answer.status(), 200, "{name}");
    }
}

fn names(target: &Upstream) -> Vec<String> {
    let requests = target.requests();
    let mut names: Vec<_> = requests
        .iter()
        .map(|request| parameter(&request.head.query(), "name").expect("an upload has a name"))
        .collect();
    names.sort();
    names
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("app{number:03}")).collect()
}

#[test]
fn what_was_answered_survives_a_kill() {
    for fsync in ["always", "interval", "never"] {
        let dir = home();
        let target = Upstream::ok();
        let address = target.stop();
        let url = format!("http://{address}");
        let builder = relay_only(dir.path(), &format!("fsync: {fsync}"));
        let builder = builder.target_address("central", &url, &["queue-size: 1000"]);
        let mut relay = builder.clone().spawn();
        send(&relay, numbered(100));
        // With `always` the response promises the disk; with the other policies the write follows a little later.
        if fsync != "always" {
            let written = "pyroscope_remote_write_spool_written_bytes_total";
            eventually(SOON, "all to be written", || {
                relay.metrics().value(written, &[]) >= Some(500_000.0)
            });
        }
        relay.signal(Signal::KILL);
        assert!(relay.wait(SOON).is_some());

        let target = Upstream::at(&address.to_string(), |_| Answer::ok());
        let relay = builder.spawn();
        let ledger = relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 100);
        assert_eq!(
            ledger.accepted,
            Count::new(100, 500_000),
            "it begins with what was recovered"
        );
        assert_eq!(
            names(&target),
            numbered(100),
            "{fsync}: each once, as none had gone out"
        );
    }
}

#[test]
fn what_is_pending_at_the_end_is_there_at_the_next_start() {
    let dir = home();
    let address = Upstream::ok().stop();
    let builder = relay_only(dir.path(), "fsync: interval").yaml("shutdown: { grace: 0s }");
    let builder = builder.target_address("central", &format!("http://{address}"), &[]);
    let mut relay = builder.clone().spawn();
    send(&relay, numbered(20));
    relay.sigterm();
    assert_eq!(relay.wait(2 * SOON).expect("an end").code(), Some(0));
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let relay = builder.spawn();
    relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 20);
    assert_eq!(names(&target), numbered(20));
}

#[test]
fn a_target_keeps_what_waits_for_it_under_its_name_wherever_it_is() {
    let dir = home();
    let address = Upstream::ok().stop();
    let dead = format!("http://{address}");
    let builder = || relay_only(dir.path(), "fsync: always");
    let mut relay = builder()
        .target_address("one", &dead, &[])
        .target_address("two", &dead, &[])
        .spawn();
    send(&relay, numbered(10));
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    // The targets are in another order and at other addresses, and one target is new.
    let (one, two, three) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let relay = builder()
        .target("three", &three, &[])
        .target("two", &two, &[])
        .target("one", &one, &[])
        .spawn();
    for (name, target) in [("one", &one), ("two", &two)] {
        relay.wait_ledger(name, "all sent", |ledger| ledger.sent.profiles == 10);
        assert_eq!(names(target), numbered(10), "{name}");
    }
    assert_eq!(relay.ledger("three").accepted, Count::default());
    assert!(three.requests().is_empty());
}

#[test]
fn a_disk_that_is_gone_costs_durability_and_no_profile_until_it_is_back() {
    let dir = home();
    let spool = dir.path().join("spool");
    let target = Upstream::ok();
    let relay = relay_only(
        &spool,
        "fsync: interval, max-bytes: 16MiB, segment-bytes: 64KiB",
    )
    .target("central", &target, &["queue-size: 1000"])
    .spawn();
    let mode = |mode| relay.metrics().value(MODE, &[("mode", mode)]) == Some(1.0);
    send(&relay, numbered(5));
    assert!(mode("disk"));
    fs::rename(&spool, dir.path().join("gone")).expect("it can be renamed");
    fs::write(&spool, b"no directory").expect("a file can be written");
    // More than a segment, so that a new file is needed.
    send(&relay, numbered(40));
    eventually(SOON, "memory mode", || mode("memory_only"));
    relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 45);
    fs::remove_file(&spool).expect("it can be removed");
    fs::rename(dir.path().join("gone"), &spool).expect("it can be renamed");
    eventually(Duration::from_secs(30), "the disk again", || {
        send(&relay, numbered(1));
        mode("disk")
    });
    let ledger = relay.ledger("central");
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
}

#[test]
fn a_200_does_not_lie_while_the_disk_is_gone() {
    let dir = home();
    let spool = dir.path().join("spool");
    let target = Upstream::ok();
    let relay = relay_only(
        &spool,
        "fsync: always, max-bytes: 16MiB, segment-bytes: 64KiB",
    )
    .target("central", &target, &["queue-size: 1000"])
    .spawn();
    send(&relay, numbered(5));
    fs::rename(&spool, dir.path().join("gone")).expect("it can be renamed");
    fs::write(&spool, b"no directory").expect("a file can be written");
    let post = || relay.send(&Request::profile("app", &noise(5_000)));
    let refused = poll(SOON, || {
        Some(post()).filter(|answer| answer.status() != 200)
    });
    let refused = refused.expect("the promise cannot be kept");
    assert_eq!(refused.status(), 503);
    assert!(refused.head.has("retry-after"));
    assert_eq!(post().status(), 503);
    fs::remove_file(&spool).expect("it can be removed");
    fs::rename(dir.path().join("gone"), &spool).expect("it can be renamed");
    eventually(Duration::from_secs(30), "the promise again", || {
        post().status() == 200
    });
}
