//! The times of profiles that have none: nanoseconds of receipt, different for each profile, and kept for good.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Mutex,
    thread,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Client, Relay, Request, SOON, Upstream, command::pyrotee, eventually,
    key::parameter, upstream,
};

const PATH: &str = "/ingest?name=app";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// A relay without a local upstream and with `section: { dir: DIR }`.
fn relay_only(section: &str, dir: &Path) -> Builder {
    Relay::builder()
        .yaml(&format!("{section}: {{ dir: \"{}\" }}", dir.display()))
        .remote_write("disable-local-writes: true")
}

/// Sends profiles of one series without times; the bodies are the numbers.
fn send(relay: &Relay, numbers: impl IntoIterator<Item = usize>) {
    let mut client = Client::connect(relay.addr());
    for number in numbers {
        let request = Request::post(PATH, number.to_string().as_bytes());
        assert_eq!(client.exchange(&request).status(), 200);
    }
}

/// The parameter `from` of an upload. It must equal `until` and have 19 digits.
fn stamp(request: &upstream::Request) -> u64 {
    let query = request.head.query();
    let [from, until] = ["from", "until"].map(|key| parameter(&query, key).unwrap());
    assert_eq!((from.len(), &from), (19, &until), "{query}");
    from.parse().unwrap()
}

/// The time of each profile that a target got, by body. A repeated upload must have the same time.
fn stamps(target: &Upstream, count: usize) -> BTreeMap<Vec<u8>, u64> {
    let mut stamps = BTreeMap::new();
    for request in target.wait_for(count, SOON) {
        let stamp = stamp(&request);
        let before = stamps.insert(request.body.data, stamp);
        assert!(before.is_none_or(|before| before == stamp));
    }
    stamps
}

fn assert_distinct(stamps: &BTreeMap<Vec<u8>, u64>, count: usize) {
    assert_eq!(stamps.len(), count);
    let values: BTreeSet<_> = stamps.values().collect();
    assert_eq!(values.len(), count, "no two are alike");
}

#[test]
fn quick_profiles_of_one_series_have_times_of_their_own_at_every_target() {
    let (upstream, plain, tagged) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let roomy = "queue-size: 1000";
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("plain", &plain, &[roomy])
        .target("tagged", &tagged, &[roomy, "tags: { env: test }"])
        .spawn();
    thread::scope(|scope| {
        for first in [0, 50, 100, 150] {
            let relay = &relay;
            scope.spawn(move || send(relay, first..first + 50));
        }
    });
    let at_plain = stamps(&plain, 200);
    assert_distinct(&at_plain, 200);
    assert_eq!(at_plain, stamps(&tagged, 200));
    let untouched = |request: &upstream::Request| request.head.query() == "name=app";
    assert!(upstream.requests().iter().all(untouched));
}

#[test]
fn a_retry_keeps_the_time() {
    let tries = Mutex::new(HashMap::<String, usize>::new());
    let failing_once = Upstream::script(move |arrival| {
        let mut tries = tries.lock().unwrap();
        let count = tries.entry(arrival.head.query()).or_default();
        *count += 1;
        match count {
            1 => Answer::status(503, b"unavailable"),
            _ => Answer::ok(),
        }
    });
    let steady = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("failing", &failing_once, &[])
        .target("steady", &steady, &[])
        .spawn();
    send(&relay, 0..3);
    relay.wait_ledger("failing", "all sent", |ledger| ledger.sent.profiles == 3);
    let times = stamps(&failing_once, 6);
    assert_distinct(&times, 3);
    assert_eq!(times, stamps(&steady, 3));
}

#[test]
fn a_profile_that_survived_a_kill_in_the_spool_keeps_its_time() {
    let dir = home();
    let steady = Upstream::ok();
    let address = Upstream::ok().stop();
    let away = format!("http://{address}");
    let builder = relay_only("spool", dir.path())
        .target("steady", &steady, &[])
        .target_address("away", &away, &[]);
    let mut relay = builder.clone().spawn();
    send(&relay, 0..20);
    let before = stamps(&steady, 20);
    let written = "pyroscope_remote_write_spool_written_bytes_total";
    // A record takes more than a hundred bytes.
    eventually(SOON, "all to be written", || {
        relay.metrics().value(written, &[]) >= Some(20.0 * 100.0)
    });
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());

    let back = Upstream::at(&address.to_string(), |_| Answer::ok());
    let relay = builder.spawn();
    relay.wait_ledger("away", "all sent", |ledger| ledger.sent.profiles == 20);
    assert_distinct(&before, 20);
    assert_eq!(before, stamps(&back, 20));
    send(&relay, 20..40);
    assert_distinct(&stamps(&back, 40), 40);
}

#[test]
fn a_replayed_dead_letter_keeps_its_time() {
    let dir = home();
    let refusing = Upstream::answering(Answer::error(400, "invalid_argument", "no"));
    let other = Upstream::ok();
    let relay = relay_only("dead-letters", dir.path())
        .target("refusing", &refusing, &[])
        .target("other", &other, &[])
        .spawn();
    send(&relay, 0..5);
    eventually(SOON, "five letters", || {
        let kept = relay
            .metrics()
            .value("pyroscope_remote_write_dead_letters", &[]);
        kept == Some(5.0)
    });
    let before = stamps(&refusing, 5);
    let admin = relay.admin().to_string();
    let to = [
        "dead-letters",
        "replay",
        "--all",
        "--to",
        "other",
        "--admin",
    ];
    pyrotee(&[&to[..], &[&admin]].concat()).expect(0, &["5 of 5 replayed"]);
    assert_eq!(
        stamps(&other, 10),
        before,
        "sent at receipt and replayed: one time each"
    );
}

#[test]
fn a_time_that_the_client_gives_is_never_overtaken_by_the_other_one() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &[])
        .spawn();
    let mut client = Client::connect(relay.addr());
    for times in [
        "from=99999999999",
        "from=9000000000000000000",
        "from=99999999999&until=now",
        "until=1700000000",
        "until=1700000000000&from=now-1s",
        "from=&until=20200101",
    ] {
        let request = Request::post(&format!("{PATH}&{times}"), b"profile");
        assert_eq!(client.exchange(&request).status(), 200, "{times}");
    }
    for request in target.wait_for(6, SOON) {
        let query = request.head.query();
        let read = |key| {
            let digits = parameter(&query, key).unwrap();
            let number: u128 = digits.parse().unwrap();
            match digits.len() {
                8 => 1_577_836_800_000_000_000,
                13 => number * 1_000_000,
                19 => number,
                _ => (number * 1_000_000_000).min(i64::MAX as u128),
            }
        };
        assert!(read("from") <= read("until"), "{query}");
    }
}
