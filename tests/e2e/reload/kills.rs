//! A relay with a spool that is killed right after a reload: the next one knows which target gets which profile.

use rustix::process::Signal;

use super::{names, send};
use crate::support::{Builder, Relay, SOON, Upstream, nightly, ports::Refusing};

/// A configuration with the target `always`, and with `sometimes` if it is in force.
fn builder(spool: &str, address: &str, has_both: bool) -> Builder {
    let base = Relay::builder()
        .yaml(spool)
        .yaml("reload: { interval: 0, drain: 10m }")
        .remote_write("disable-local-writes: true")
        .target_address("always", address, &[]);
    match has_both {
        true => base.target_address("sometimes", address, &[]),
        false => base,
    }
}

#[test]
fn a_kill_after_a_reload_costs_no_target_a_profile_and_gives_it_none_of_another_time() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let spool = format!(
        "spool: {{ dir: \"{}\", fsync: always }}",
        dir.path().display()
    );
    let dead = Refusing::new();
    let (mut all, mut expected) = (Vec::new(), Vec::new());
    let mut has_both = true;
    for round in 0..if nightly() { 40 } else { 6 } {
        let mut relay = builder(&spool, &dead.url(), has_both).spawn();
        let mut offer = |relay: &Relay, word: &str, has_both: bool| {
            let sent = [0, 1].map(|number| format!("r{round:02}{word}{number}"));
            send(relay, &sent.each_ref().map(String::as_str));
            all.extend(sent.clone());
            if has_both {
                expected.extend(sent);
            }
        };
        offer(&relay, "a", has_both);
        // A target may leave, return and leave again in one life.
        for toggle in 0..=round % 3 {
            has_both = !has_both;
            relay.reload_with(&builder(&spool, &dead.url(), has_both));
            offer(&relay, ["b", "c", "d"][toggle], has_both);
        }
        relay.signal(Signal::KILL);
        relay.wait(SOON).expect("it ends");
    }
    let sink = Upstream::ok();
    let relay = builder(&spool, &sink.url(), true).spawn();
    let settled = |target: &str| {
        let count = if target == "always" {
            all.len()
        } else {
            expected.len()
        };
        relay.wait_ledger(target, "all sent", |ledger| {
            ledger.sent.profiles == count as u64
        })
    };
    let ledgers = ["always", "sometimes"].map(settled);
    assert!(
        ledgers.iter().all(|it| it.lost().profiles == 0),
        "{ledgers:?}"
    );
    let mut delivered = names(&sink);
    delivered.sort();
    let mut wanted = [all.clone(), expected.clone()].concat();
    wanted.sort();
    assert_eq!(delivered, wanted, "each once for each target");
}
