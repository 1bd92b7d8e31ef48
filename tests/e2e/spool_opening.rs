//! Spools that open late, and the profiles that arrive before.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Client, Count, Relay, Request, SOON, Upstream, client::noise, eventually,
};

const MODE: &str = "pyroscope_remote_write_spool_mode";
const ERRORS: &str = "pyroscope_remote_write_spool_errors_total";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn relay_only(dir: &Path, fsync: &str) -> Builder {
    let spool = format!("spool: {{ dir: \"{}\", fsync: {fsync} }}", dir.display());
    Relay::builder()
        .yaml(&spool)
        .yaml("dead-letters: { dir: \"{home}/dead-letters\" }")
        .remote_write("disable-local-writes: true")
}

/// Sends profiles of these names, and returns the status codes of the responses.
fn send(relay: &Relay, names: impl IntoIterator<Item = String>) -> Vec<u16> {
    let mut client = Client::connect(relay.addr());
    let send = |name: String| {
        let answer = client.exchange(&Request::profile(&name, &noise(500)));
        answer.status()
    };
    names.into_iter().map(send).collect()
}

fn numbered(word: &str, count: usize) -> Vec<String> {
    let numbers = 0..count;
    numbers.map(|number| format!("{word}{number:03}")).collect()
}

fn is_waiting(relay: &Relay) -> bool {
    relay.metrics().value(MODE, &[("mode", "waiting")]) == Some(1.0)
}

#[test]
fn a_relay_takes_over_the_spool_of_the_one_before_it() {
    let dir = home();
    let target = Upstream::ok();
    let address = target.stop();
    let url = format!("http://{address}");
    let builder = relay_only(dir.path(), "interval");
    let builder = builder.target_address("central", &url, &["queue-size: 1000"]);
    let builder = builder.yaml("shutdown: { grace: 0s }");
    let mut first = builder.clone().spawn();
    assert_eq!(send(&first, numbered("old", 20)), [200; 20]);

    let second = builder.spawn_with_waiting_spool();
    eventually(SOON, "an attempt", || relay_errors(&second) > 0.0);
    assert!(is_waiting(&second));
    let output = second.output();
    for word in ["another process uses this spool", "stay in memory"] {
        assert!(output.contains(word), "{output}");
    }
    assert!(
        output.contains(&dir.path().display().to_string()),
        "{output}"
    );
    assert_eq!(send(&second, numbered("new", 20)), [200; 20]);
    assert_eq!(second.ledger("central").accepted, Count::new(20, 20 * 500));
    first.sigterm();
    assert_eq!(first.wait(2 * SOON).expect("an end").code(), Some(0));
    second.wait_until_spool_is_open();
    second.wait_ledger("central", "what the first one left", |ledger| {
        ledger.accepted == Count::new(40, 40 * 500)
    });
    assert!(second.output().contains("spool is open"));

    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    second.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 40);
    assert_eq!(target.requests().len(), 40);
}

fn relay_errors(relay: &Relay) -> f64 {
    relay
        .metrics()
        .value(ERRORS, &[])
        .expect("the series exists")
}

#[test]
fn a_directory_that_cannot_be_made_is_used_once_it_can() {
    for (fsync, while_waiting) in [("always", 503), ("never", 200)] {
        let home = home();
        let place = home.path().join("mount");
        // A regular file in the place of a directory.
        fs::write(&place, "").expect("it can be written");
        let target = Upstream::ok();
        let builder = relay_only(&place.join("spool"), fsync).target("central", &target, &[]);
        let relay = builder.spawn_with_waiting_spool();
        eventually(SOON, "an attempt", || relay_errors(&relay) > 0.0);
        assert!(is_waiting(&relay));
        assert_eq!(send(&relay, numbered("early", 3)), [while_waiting; 3]);
        relay.wait_ledger("central", "what is in memory", |ledger| {
            ledger.sent.profiles == 3
        });
        assert_eq!(fs::read(&place).expect("it is still a file"), b"");
        fs::remove_file(&place).expect("it can be removed");
        relay.wait_until_spool_is_open();
        assert_eq!(send(&relay, numbered("late", 3)), [200; 3]);
        let ledger = relay.wait_ledger("central", "all", |ledger| ledger.sent.profiles == 6);
        assert_eq!(ledger.lost(), Count::default(), "{fsync}");
    }
}
