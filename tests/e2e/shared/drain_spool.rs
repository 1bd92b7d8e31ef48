use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{RECOVERY, block, numbered, open, send, wait, wait_for_each, wait_until_done};
use crate::support::{Builder, Count, Relay, SOON, nats::Nats, ports::Refusing};

/// A directory with a spool in which twenty profiles for `central` are pending, from a relay that was killed.
fn spool(port: &Refusing) -> TempDir {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let mut relay = Relay::builder()
        .yaml(&format!(
            "spool: {{ dir: \"{}\", fsync: always }}",
            home.path().display()
        ))
        .remote_write("disable-local-writes: true")
        .target_address("central", &port.url(), &[])
        .spawn();
    send(&relay, &numbered(20));
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    home
}

fn shared(nats: &Nats, port: &Refusing, more: &str) -> Builder {
    Relay::builder()
        .yaml(&block(nats, &format!("after: 1s, {more}")))
        .remote_write("disable-local-writes: true")
        .target_address("central", &port.url(), &[])
}

fn drain(dir: &Path) -> String {
    format!("drain-spool: \"{}\"", dir.display())
}

#[test]
fn what_a_spool_contains_is_delivered_before_it_is_left() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let home = spool(&port);
    let relay = shared(&nats, &port, &drain(home.path())).spawn();
    send(&relay, &["fresh".to_owned()]);
    let target = open(&port);
    let mut names = numbered(20);
    names.push("fresh".to_owned());
    wait_for_each(&target, &names, RECOVERY);
    wait_until_done(&relay, &nats);
    let ledger = relay.ledger("central");
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    drop(relay);
    // At the next start there is nothing to deliver.
    let relay = shared(&nats, &port, &drain(home.path())).spawn();
    send(&relay, &["later".to_owned()]);
    names.push("later".to_owned());
    wait_for_each(&target, &names, SOON);
    wait(&relay, SOON, "only the later one", |it| {
        it.sent.profiles == 1
    });
}

#[test]
fn a_drained_spool_whose_target_is_away_is_not_lost() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let home = spool(&port);
    let mut relay = shared(&nats, &port, &drain(home.path())).spawn();
    send(&relay, &["fresh".to_owned()]);
    relay.sigterm();
    assert_eq!(
        relay.wait(4 * SOON).expect("an end").code(),
        Some(0),
        "{}",
        relay.output()
    );
    let target = open(&port);
    let relay = shared(&nats, &port, &drain(home.path())).spawn();
    let mut names = numbered(20);
    names.push("fresh".to_owned());
    wait_for_each(&target, &names, RECOVERY);
    drop(relay);
}

#[test]
fn a_spool_that_is_still_configured_is_a_fault_that_names_the_key_to_drain_it() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let home = spool(&port);
    let ended = shared(&nats, &port, "")
        .yaml(&format!("spool: {{ dir: \"{}\" }}", home.path().display()))
        .refused();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert!(
        ended.output.contains("shared.drain-spool"),
        "{}",
        ended.output
    );
}

#[test]
fn the_spool_of_an_earlier_configuration_is_not_forgotten() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let home = spool(&port);
    // The dead letters are still where they were, within the spool.
    let letters = home.path().join("dead-letters").display().to_string();
    let letters = format!("dead-letters: {{ dir: \"{letters}\" }}");
    let ended = shared(&nats, &port, "").yaml(&letters).refused();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert!(
        ended.output.contains("shared.drain-spool"),
        "{}",
        ended.output
    );
    let target = open(&port);
    let relay = shared(&nats, &port, &drain(home.path()))
        .yaml(&letters)
        .spawn();
    wait_for_each(&target, &numbered(20), RECOVERY);
    drop(relay);
    let _relay = shared(&nats, &port, "").yaml(&letters).spawn();
}

#[test]
fn a_directory_to_drain_that_is_no_spool_is_told_and_left_alone() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let foreign = home.path().join("letter.txt");
    std::fs::write(&foreign, b"dear").expect("a file can be written");
    let relay = shared(&nats, &port, &drain(home.path())).spawn();
    let words = "shared.drain-spool is no spool";
    assert!(relay.output().contains(words), "{}", relay.output());
    send(&relay, &numbered(3));
    let target = open(&port);
    wait_for_each(&target, &numbered(3), RECOVERY);
    assert_eq!(std::fs::read(&foreign).expect("it is there"), b"dear");
    let files = std::fs::read_dir(home.path()).expect("it is there");
    assert_eq!(files.count(), 1);
}
