//! Spools and dead letters whose directory cannot be used when the relay starts.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Client, Count, Ledger, Relay, Request, SOON, Upstream,
    client::{self, noise},
    eventually,
};

const MODE: &str = "pyroscope_remote_write_spool_mode";
const OPEN: &str = "pyroscope_remote_write_dead_letters_open";
const LETTERS: &str = "pyroscope_remote_write_dead_letters";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn spool_in(dir: &Path, more: &str) -> String {
    format!("spool: {{ dir: \"{}\"{more} }}", dir.display())
}

fn get(relay: &Relay, path: &str) -> (u16, String) {
    let answer = client::send(relay.admin(), &Request::get(path));
    let text = String::from_utf8(answer.body.data.clone()).expect("pages are text");
    (answer.status(), text)
}

fn is_waiting(relay: &Relay) -> bool {
    relay.metrics().value(MODE, &[("mode", "waiting")]) == Some(1.0)
}

/// Waits until `/-/ready` responds with 200 and these words.
fn told(relay: &Relay, words: &[&str]) {
    let has = |text: &str| words.iter().all(|&word| text.contains(word));
    eventually(SOON, &format!("{words:?}"), || {
        // Just after the start the relay is not ready, because it waits up to 2 s for its spool.
        let (status, text) = get(relay, "/-/ready");
        status == 200 && has(&text)
    });
}

fn is_not_degraded(relay: &Relay) {
    eventually(3 * SOON, "nothing is degraded", || {
        get(relay, "/-/ready") == (200, "ready\n".to_owned())
    });
    assert!(!is_waiting(relay));
}

/// Posts `count` profiles, each of which must be answered with a 200.
fn post(address: SocketAddr, count: usize, bytes: usize) {
    let mut client = Client::connect(address);
    for number in 0..count {
        let answer = client.exchange(&Request::profile(&format!("app{number}"), &noise(bytes)));
        assert_eq!(answer.status(), 200, "{number}");
    }
}

/// A relay between an upstream and a target that refuses profiles called `bad…`.
fn relay(text: &str) -> (Builder, Upstream, Upstream) {
    let (upstream, target) = (
        Upstream::ok(),
        Upstream::script(|arrival| match arrival.head.query().contains("bad") {
            true => Answer::error(400, "invalid_argument", "no"),
            false => Answer::ok(),
        }),
    );
    let builder = Relay::builder().upstream(&upstream).yaml(text).target(
        "central",
        &target,
        &["queue-size: 1000"],
    );
    (builder, upstream, target)
}

/// Sends a profile through a relay whose disks are in trouble.
fn serves(relay: &Relay, target: &Upstream, name: &str) {
    assert_eq!(relay.send(&Request::profile(name, b"x")).status(), 200);
    eventually(SOON, name, || {
        target
            .requests()
            .iter()
            .any(|it| it.head.query().contains(name))
    });
}

#[test]
fn a_directory_that_cannot_be_used_stops_nobody_and_is_used_once_it_can() {
    // A regular file in the place of the directory, or of its parent.
    for below in ["spool", "spool/below/it"] {
        let home = home();
        let (file, dir) = (home.path().join("spool"), home.path().join(below));
        fs::write(&file, "in the way").expect("it can be written");
        let (builder, _upstream, target) = relay(&spool_in(&dir, ""));
        let relay = builder.spawn_with_waiting_spool();
        told(
            &relay,
            &["ready\nspool (waiting): ", "dead_letters (waiting): "],
        );
        assert!(is_waiting(&relay));
        serves(&relay, &target, "early");
        assert_eq!(relay.send(&Request::profile("bad", b"x")).status(), 200);

        let page: Value = serde_json::from_str(&get(&relay, "/api/v1/spool").1).expect("JSON");
        assert_eq!(page["state"], "waiting", "{page}");
        let reason = page["opening"]["reason"].as_str().expect("a reason");
        assert!(reason.contains(&dir.display().to_string()), "{reason}");
        let page: Value = serde_json::from_str(&get(&relay, "/api/v1/status").1).expect("JSON");
        assert_eq!(page["degraded"][0]["part"], "spool", "{page}");
        assert_eq!(page["degraded"][1]["part"], "dead_letters", "{page}");
        let (status, text) = get(&relay, "/api/v1/dead-letters");
        assert!(status == 503 && text.contains("not open yet"), "{text}");
        assert_eq!(relay.metrics().value(OPEN, &[]), Some(0.0));

        fs::remove_file(&file).expect("it is there");
        is_not_degraded(&relay);
        assert!(dir.join("lock").exists());
        serves(&relay, &target, "late");
        eventually(SOON, "the letter that waited", || {
            relay.metrics().value(LETTERS, &[]) == Some(1.0)
        });
        let ledger = relay.wait_ledger("central", "an end", |it| it.pending.profiles == 0);
        assert_eq!(ledger.lost(), ledger.dropped("rejected"), "{ledger:?}");
    }
}

#[test]
fn dead_letters_wait_alone_in_a_relay_without_a_spool() {
    let home = home();
    let dir = home.path().join("letters");
    fs::write(&dir, "in the way").expect("it can be written");
    let text = format!("dead-letters: {{ dir: \"{}\" }}", dir.display());
    let (builder, _upstream, target) = relay(&text);
    let mut relay = builder.clone().spawn_with_waiting_spool();
    told(&relay, &["ready\ndead_letters (waiting): not open for "]);
    serves(&relay, &target, "good");
    for _ in 0..100 {
        assert_eq!(relay.send(&Request::profile("bad", b"x")).status(), 200);
    }
    told(&relay, &["100 of them wait in memory"]);
    fs::remove_file(&dir).expect("it is there");
    is_not_degraded(&relay);
    eventually(SOON, "all letters", || {
        relay.metrics().value(LETTERS, &[]) == Some(100.0)
    });

    // A second relay waits for the lock of the dead letters, and opens them once the first relay has ended.
    let second = builder.spawn_with_waiting_spool();
    told(&second, &["another process uses the dead letters"]);
    relay.sigterm();
    assert!(relay.wait(SOON).is_some());
    is_not_degraded(&second);
    assert_eq!(second.metrics().value(LETTERS, &[]), Some(100.0));
}

#[test]
fn a_relay_takes_the_spool_over_from_the_one_before_and_delivers_its_backlog() {
    let home = home();
    let dir = home.path().join("spool");
    let address = Upstream::ok().stop();
    let url = format!("http://{address}");
    let builder = Relay::builder()
        .yaml(&spool_in(&dir, ", fsync: always"))
        .yaml("shutdown: { grace: 0s }")
        .remote_write("disable-local-writes: true")
        .target_address("central", &url, &["queue-size: 1000"]);
    let mut first = builder.clone().spawn();
    post(first.addr(), 20, 1_000);
    let second = builder.spawn_with_waiting_spool();
    told(
        &second,
        &["spool (waiting): ", "another process uses this spool"],
    );
    // With `fsync: always` a 200 would promise that the profile is on disk.
    let answer = second.send(&Request::profile("early", b"x"));
    assert_eq!(answer.status(), 503);
    first.sigterm();
    assert!(first.wait(SOON).is_some());
    is_not_degraded(&second);
    assert_eq!(second.send(&Request::profile("late", b"x")).status(), 200);
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    // The profile that was answered with a 503 stays in memory all the same.
    let all_sent = |ledger: &Ledger| ledger.sent.profiles >= 21 && ledger.pending.profiles == 0;
    let ledger = second.wait_ledger("central", "all", all_sent);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    assert!(target.requests().len() >= 21);
}

/// Every file below a directory: its name, inode, length and content.
fn snapshot(dir: &Path) -> Vec<(PathBuf, u64, Vec<u8>)> {
    let entries = fs::read_dir(dir).expect("it can be listed");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.is_file())
        .map(|path| {
            let inode = fs::metadata(&path).expect("it is there").ino();
            let content = fs::read(&path).expect("it can be read");
            (path, inode, content)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_newer_format_is_left_as_it_is_and_the_relay_works_in_memory() {
    let home = home();
    let dir = home.path().join("spool");
    let (builder, _upstream, target) = relay(&spool_in(&dir, ""));
    let mut first = builder.clone().spawn();
    serves(&first, &target, "first");
    first.sigterm();
    assert!(first.wait(SOON).is_some());
    fs::remove_dir_all(dir.join("dead-letters")).expect("it is there");
    for slot in ["cursors.0", "cursors.1"] {
        let path = dir.join(slot);
        let mut bytes = fs::read(&path).expect("both were written");
        bytes[8..12].copy_from_slice(&99_u32.to_le_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.sum().to_le_bytes());
        fs::write(&path, bytes).expect("it can be written");
    }
    let before = snapshot(&dir);
    let mut relay = builder.spawn_with_waiting_spool();
    told(
        &relay,
        &["spool (waiting): ", "version 99", "newer pyrotee"],
    );
    serves(&relay, &target, "second");
    relay.sigterm();
    assert_eq!(relay.wait(SOON).and_then(|it| it.code()), Some(0));
    assert_eq!(snapshot(&dir), before);
    assert!(!dir.join("dead-letters").exists());
}

#[test]
fn a_spool_of_more_segments_than_the_soft_limit_of_files_is_opened() {
    let home = home();
    let dir = home.path().join("spool");
    let url = format!("http://{}", Upstream::ok().stop());
    let spool = spool_in(&dir, ", max-bytes: 32MiB, segment-bytes: 64KiB");
    let builder = Relay::builder()
        .yaml(&spool)
        .yaml("shutdown: { grace: 0s }")
        .remote_write("disable-local-writes: true")
        .target_address("central", &url, &["queue-size: 1000"]);
    let mut first = builder.clone().spawn();
    post(first.addr(), 140, 60_000);
    first.sigterm();
    assert!(first.wait(SOON).is_some());
    let relay = builder
        .before(&["sh", "-c", "ulimit -S -n 100; exec \"$@\"", "limited"])
        .spawn();
    relay.wait_ledger("central", "all", |ledger| ledger.pending.profiles == 140);
    assert!(relay.metrics().value(MODE, &[("mode", "disk")]) == Some(1.0));
    post(relay.addr(), 20, 60_000);
}

#[test]
fn a_disk_that_hangs_at_the_start_stops_neither_clients_nor_the_end() {
    // No process writes to this pipe, so that opening it for reading or for writing never returns.
    let hung = |path: PathBuf| {
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    };
    let home = home();
    let (spool, letters) = (home.path().join("spool"), home.path().join("letters"));
    hung(spool.join("cursors.0"));
    hung(letters.join("lock"));
    let letters = format!("dead-letters: {{ dir: \"{}\" }}", letters.display());
    for text in [
        spool_in(&spool, ""),
        letters.clone(),
        spool_in(&spool, "") + "\n" + &letters,
    ] {
        let (builder, _upstream, target) = relay(&text);
        let builder = builder.yaml("shutdown: { grace: 0s }");
        let mut relay = builder.spawn_with_waiting_spool();
        told(&relay, &["ready\n", "): "]);
        serves(&relay, &target, "early");
        let begun = Instant::now();
        relay.signal(Signal::TERM);
        assert_eq!(relay.wait(SOON).and_then(|it| it.code()), Some(0), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{text}");
    }
}
