//! A profile that ends the relay whenever it is delivered, and a healthy relay that is killed again and again.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Client, Relay, Request, SOON, Upstream, client::noise, eventually,
    key::parameter, poll, ports::Refusing,
};

const CAREFUL: &str = "pyroscope_remote_write_spool_careful";

/// A relay with a spool in `home`: profiles of these names are queued for `central`, and the relay was stopped.
fn backlog(home: &TempDir, names: &[String]) -> (Builder, Arc<Refusing>) {
    let spool = home.path().join("spool");
    let address = Upstream::ok().stop();
    let builder = Relay::builder()
        .yaml(&format!(
            "spool: {{ dir: \"{}\", fsync: always }}",
            spool.display()
        ))
        .yaml("shutdown: { grace: 0s }")
        .remote_write("disable-local-writes: true")
        .target_address("central", &format!("http://{address}"), &[]);
    let mut relay = builder.clone().spawn();
    let mut client = Client::connect(relay.addr());
    for name in names {
        let answer = client.exchange(&Request::profile(name, &noise(500)));
        assert_eq!(answer.status(), 200, "{name}");
    }
    // An orderly stop: this life is not counted as a short one.
    relay.sigterm();
    assert!(relay.wait(2 * SOON).is_some());
    (builder, address)
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("app{number:03}")).collect()
}

fn names(target: &Upstream) -> BTreeSet<String> {
    let requests = target.requests();
    let name = |query: &str| parameter(query, "name").expect("an upload has a name");
    requests
        .iter()
        .map(|request| name(&request.head.query()))
        .collect()
}

/// Number of dead letters.
fn dead_letters(home: &TempDir) -> usize {
    let dir = home.path().join("spool/dead-letters");
    let is_letter = |path: &Path| path.extension().is_some_and(|it| it == "json");
    let files = fs::read_dir(dir).into_iter().flatten();
    files
        .filter(|file| file.as_ref().is_ok_and(|it| is_letter(&it.path())))
        .count()
}

#[test]
fn a_profile_that_ends_the_relay_is_set_aside_and_all_others_are_delivered() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let (builder, address) = backlog(&home, &numbered(100));
    // Process id of the relay, which the target kills when it gets the profile.
    let victim = Arc::<Mutex<Option<u32>>>::default();
    let of_target = Arc::clone(&victim);
    let target = Upstream::at(&address.to_string(), move |arrival| {
        if parameter(&arrival.head.query(), "name").as_deref() != Some("app042") {
            return Answer::ok();
        }
        // The target may get the profile before the test has stored the process id.
        let victim = poll(SOON, || of_target.lock().expect("nobody panics").take());
        let pid = victim.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::KILL).ok();
        }
        Answer::never()
    });
    let mut lives = 1;
    let relay = loop {
        let mut relay = builder.clone().spawn();
        *victim.lock().expect("nobody panics") = Some(relay.pid());
        let survives = poll(6 * SOON, || {
            let ended = relay.wait(Duration::ZERO).map(|_| false);
            ended.or((dead_letters(&home) > 0).then_some(true))
        });
        if survives.expect("either comes") {
            break relay;
        }
        lives += 1;
        assert!(lives < 20, "a handful of lives suffices");
    };
    assert!(
        lives >= 7,
        "three to be careful and three to be sure: {lives}"
    );
    let ledger = relay.wait_ledger("central", "all settled", |it| it.pending.profiles == 0);
    assert_eq!(ledger.lost().profiles, 1, "{ledger:?}");
    assert_eq!(ledger.dropped("undecodable").profiles, 1);
    let expected: BTreeSet<_> = numbered(100).into_iter().collect();
    let delivered = names(&target);
    let missing: Vec<_> = expected.difference(&delivered).collect();
    assert!(missing.is_empty() || missing == ["app042"], "{missing:?}");
    eventually(SOON, "the end of caution", || {
        relay.metrics().value(CAREFUL, &[]) == Some(0.0)
    });
    assert_eq!(dead_letters(&home), 1);
}

#[test]
fn twenty_kills_of_a_healthy_relay_set_nothing_aside() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let (builder, address) = backlog(&home, &numbered(100));
    let hanging = Upstream::at(&address.to_string(), |_| Answer::never());
    for life in 0..20_u64 {
        let mut relay = builder.clone().spawn();
        // At any time: during the first connections, or with 64 uploads in flight.
        thread::sleep(Duration::from_millis(life * 97 % 300));
        relay.signal(Signal::KILL);
        assert!(relay.wait(SOON).is_some());
    }
    hanging.stop();
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let relay = builder.spawn();
    eventually(6 * SOON, "all to be sent", || {
        relay.ledger("central").pending.profiles == 0
    });
    assert_eq!(relay.ledger("central").lost().profiles, 0);
    assert_eq!(names(&target), numbered(100).into_iter().collect());
    assert_eq!(dead_letters(&home), 0);
}
