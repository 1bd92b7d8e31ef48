//! The spool on a file system that is really full.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use rustix::{fs::statvfs, process::Signal};

use crate::support::{
    Answer, Builder, Client, Count, Relay, Request, SOON, SmallDisk, Upstream, client::noise,
    eventually, key::parameter, poll,
};

const MIB: u64 = 1 << 20;
const SPOOL_FULL: &str = "spool_full";
const BODY: usize = 50_000;

/// A relay without a local upstream whose spool is on `disk`.
fn relay_only(disk: &SmallDisk, more: &str) -> Builder {
    let dir = disk.path().join("spool");
    let spool = format!("spool: {{ dir: \"{}\", {more} }}", dir.display());
    Relay::builder()
        .within(disk)
        .yaml(&spool)
        .remote_write("disable-local-writes: true")
}

/// Posts numbered profiles, and returns the names of those that were answered with a 200.
fn post(address: SocketAddr, numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    let (mut client, body) = (Client::connect(address), noise(BODY));
    let mut taken = BTreeSet::new();
    for number in numbers {
        let name = format!("app{number}");
        let answer = client.exchange(&Request::profile(&name, &body));
        match answer.status() {
            200 => assert!(taken.insert(name)),
            503 => assert!(answer.head.has("retry-after")),
            other => panic!("{other}"),
        }
    }
    taken
}

fn names(target: &Upstream) -> BTreeSet<String> {
    let requests = target.requests();
    let names = requests
        .iter()
        .map(|request| parameter(&request.head.query(), "name").expect("an upload has a name"));
    names.collect()
}

fn mode(relay: &Relay, mode: &str) -> bool {
    let series = "pyroscope_remote_write_spool_mode";
    relay.metrics().value(series, &[("mode", mode)]) == Some(1.0)
}

#[test]
fn a_200_does_not_lie_on_a_full_disk_and_needs_no_restart_to_be_true_again() {
    let disk = SmallDisk::new(32 * MIB);
    // A delivered profile needs no disk, so the target must accept nothing.
    let away = Arc::new(AtomicBool::new(false));
    let is_away = Arc::clone(&away);
    let target = Upstream::script(move |_| match is_away.load(SeqCst) {
        true => Answer::status(503, b"unavailable"),
        false => Answer::ok(),
    });
    let relay = relay_only(
        &disk,
        "fsync: always, max-bytes: 16MiB, segment-bytes: 4MiB",
    )
    .target("central", &target, &["queue-size: 1000"])
    .spawn();
    let mut taken = post(relay.addr(), 0..5);
    assert_eq!(taken.len(), 5);
    relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 5);
    away.store(true, SeqCst);
    disk.fill();
    let refused = poll(SOON, || post(relay.addr(), [5]).is_empty().then_some(()));
    assert!(refused.is_some(), "a 200 that nothing stands for");
    assert!(post(relay.addr(), 6..20).is_empty());
    assert!(mode(&relay, "memory_only"));
    disk.free();
    eventually(3 * SOON, "the disk again", || mode(&relay, "disk"));
    taken.extend(post(relay.addr(), [20]));
    assert_eq!(taken.len(), 6, "the promise holds again");
    away.store(false, SeqCst);
    let ledger = &|| relay.ledger("central");
    eventually(6 * SOON, "an end", || ledger().pending.profiles == 0);
    assert_eq!(ledger().lost(), Count::default(), "{:?}", ledger());
    let arrived = names(&target);
    assert!(taken.is_subset(&arrived), "{taken:?} of {arrived:?}");
}

#[test]
fn a_full_disk_costs_durability_and_no_profile() {
    let disk = SmallDisk::new(8 * MIB);
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let spool = disk.path().join("spool");
    let relay = Relay::builder()
        .within(&disk)
        .upstream(&upstream)
        .yaml(&format!(
            "spool: {{ dir: \"{}\", max-bytes: 16MiB, segment-bytes: 64KiB }}",
            spool.display()
        ))
        .target("central", &target, &["queue-size: 1000"])
        .spawn();
    disk.fill();
    assert_eq!(post(relay.addr(), 0..50).len(), 50);
    eventually(SOON, "memory mode", || mode(&relay, "memory_only"));
    disk.free();
    eventually(3 * SOON, "the disk again", || mode(&relay, "disk"));
    let ledger = relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles >= 50);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
}

#[test]
fn below_the_reserve_of_free_space_the_oldest_profiles_give_way() {
    let disk = SmallDisk::new(8 * MIB);
    let address = Upstream::ok().stop();
    // More than the size of the file system.
    let builder = relay_only(
        &disk,
        "fsync: always, max-bytes: 64MiB, segment-bytes: 256KiB",
    )
    .target_address(
        "central",
        &format!("http://{address}"),
        &["queue-size: 1000"],
    );
    let mut relay = builder.clone().spawn();
    let taken = post(relay.addr(), 0..300);
    assert_eq!(taken.len(), 300, "there is always room for what is new");
    assert!(mode(&relay, "disk"));
    let space = statvfs(disk.seen()).expect("it is mounted");
    let free = space.f_bavail * space.f_frsize;
    // The reserve is a twentieth; a segment may have grown since the free space was measured.
    assert!(free + 256 * 1024 >= 8 * MIB / 20, "{free}");
    let before = relay.ledger("central");
    let full = before.dropped(SPOOL_FULL).profiles;
    assert!((100..280).contains(&full), "{before:?}");
    assert_eq!(before.pending.profiles + full, 300);

    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let relay = builder.spawn();
    let ledger = relay.wait_ledger("central", "an end", |ledger| ledger.pending.profiles == 0);
    assert_eq!(
        ledger.accepted.profiles, before.pending.profiles,
        "{ledger:?}"
    );
    // A record that was in flight when its segment was evicted is found missing at the next start.
    assert!(ledger.dropped("corrupt").profiles <= 1, "{ledger:?}");
    assert_eq!(names(&target).len() as u64, ledger.sent.profiles);
}

#[test]
fn what_was_answered_on_a_full_disk_arrives_or_is_counted() {
    let disk = SmallDisk::new(8 * MIB);
    let address = Upstream::ok().stop();
    let builder = relay_only(
        &disk,
        "fsync: always, max-bytes: 32MiB, segment-bytes: 256KiB",
    )
    .target_address(
        "central",
        &format!("http://{address}"),
        &["queue-size: 1000"],
    );
    let mut relay = builder.clone().spawn();
    let mut taken = post(relay.addr(), 0..40);
    disk.fill();
    // The spool evicts its own oldest segment, and writes a new one in its place.
    let mut next = 40..;
    eventually(6 * SOON, "a profile that is kept", || {
        taken.extend(post(relay.addr(), next.by_ref().take(1)));
        taken.len() > 50
    });
    let mut full = relay.ledger("central").dropped(SPOOL_FULL).profiles;
    assert!(full > 0, "something had to go");
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    // The relay starts while the disk is full.
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let relay = builder.spawn();
    let ledger = relay.wait_ledger("central", "an end", |ledger| ledger.pending.profiles == 0);
    full += ledger.dropped(SPOOL_FULL).profiles;
    // Records that were only in memory are found missing; their clients got a 503.
    let refused = next.start - taken.len();
    let other = ledger.lost().profiles - ledger.dropped(SPOOL_FULL).profiles;
    assert!(other <= refused as u64, "{refused}: {ledger:?}");
    let arrived = names(&target);
    let missing = taken.difference(&arrived).count() as u64;
    assert!(
        missing <= full,
        "{missing} of {} are missing, {full} counted",
        taken.len()
    );
    eventually(Duration::from_secs(30), "space for the next", || {
        post(relay.addr(), [9_999]).len() == 1
    });
}

#[test]
fn what_is_delivered_while_the_disk_is_full_is_noted_there() {
    let disk = SmallDisk::new(8 * MIB);
    let address = Upstream::ok().stop();
    let builder = relay_only(
        &disk,
        "fsync: always, max-bytes: 16MiB, segment-bytes: 64KiB",
    )
    .target_address("central", &format!("http://{address}"), &[]);
    let mut relay = builder.clone().spawn();
    assert_eq!(post(relay.addr(), 0..10).len(), 10, "a segment for each");
    disk.fill();
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let segments = || {
        let files = fs::read_dir(disk.seen().join("spool")).expect("it is there");
        let names = files.map(|file| file.expect("it can be listed").file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".log"))
            .count()
    };
    eventually(6 * SOON, "all but the last segment to go", || {
        segments() <= 1
    });
    // The cursors must not need the space of the deleted segments: that space is filled again before the start.
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    disk.fill();
    let relay = builder.spawn();
    let ledger = relay.wait_ledger("central", "an end", |ledger| ledger.pending.profiles == 0);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    assert!(ledger.accepted.profiles <= 1, "{ledger:?}");
    assert_eq!(names(&target).len(), 10);
    assert!(mode(&relay, "disk"));
}
