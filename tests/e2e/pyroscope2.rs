//! A Pyroscope 2.x as a target: it responds in batches, refuses some profiles for good, and de-duplicates.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::support::{Pyroscope2, Relay, Request, SOON, Upstream, nightly, paced, poll};

/// Longest time from the request of a good profile until the target stores it.
const IN_TIME: Duration = Duration::from_secs(5);

/// A name for each number. Of 20 profiles in a row three are refused, each for a different reason.
fn name(number: usize) -> String {
    let reason = Pyroscope2::REFUSED.get(number * 7 % 20);
    format!("{}{number}", reason.unwrap_or(&"good"))
}

/// An upload over `/ingest`, or over OTLP if the target will not be able to convert it.
fn request(name: &str) -> Request {
    match name.starts_with("invalid") {
        true => Request::post(&format!("/v1development/profiles?name={name}"), b"profile")
            .field("Content-Type", "application/x-protobuf"),
        false => Request::post(&format!("/ingest?name={name}"), b"profile"),
    }
}

/// Sends profiles to a relay that has this target and a healthy one, and asserts that all good profiles arrive in time.
fn carries(per_second: u32, seconds: u32, options: &[&str]) {
    let (target, healthy) = (Pyroscope2::start(), Upstream::ok());
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target.upstream, options)
        .target("healthy", &healthy, options)
        .spawn();
    let due = paced(relay.addr(), per_second, seconds, |n| request(&name(n)));
    let due: HashMap<_, _> = (0..).map(name).zip(due).collect();
    let good = due.keys().filter(|name| name.starts_with("good")).count();
    poll(IN_TIME, || (target.stored().len() >= good).then_some(()));

    let stored = target.stored();
    assert_eq!(stored.len(), good, "good profiles that were stored");
    let way = |((name, _), at): (&(String, u64), &Instant)| at.saturating_duration_since(due[name]);
    let longest = stored.iter().map(way).max().unwrap();
    assert!(longest <= IN_TIME, "{longest:?}");

    let (all, good) = (due.len() as u64, good as u64);
    let ledger = relay.wait_ledger("central", "the good ones to be acknowledged", |ledger| {
        ledger.sent.profiles == good
    });
    assert_eq!(ledger.accepted.profiles, all, "{ledger:?}");
    assert_eq!(
        ledger.lost(),
        ledger.dropped("rejected"),
        "only the refused ones are lost: {ledger:?}"
    );
    let ledger = relay.wait_ledger("healthy", "all", |ledger| ledger.sent.profiles == all);
    assert_eq!(ledger.accepted.profiles, all);
    assert_eq!(healthy.wait_for(due.len(), SOON).len(), due.len());
}

#[test]
fn a_target_that_answers_in_batches_and_refuses_some_gets_all_others_with_the_defaults() {
    carries(100, if nightly() { 60 } else { 10 }, &[]);
}

#[test]
fn with_more_workers_a_target_that_answers_in_batches_gets_more() {
    let seconds = if nightly() { 60 } else { 5 };
    carries(300, seconds, &["queue-workers: 256", "queue-size: 1000"]);
}

#[test]
fn profiles_of_one_series_without_times_are_all_stored() {
    let target = Pyroscope2::start();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target.upstream, &[])
        .spawn();
    let sent = paced(relay.addr(), 20, 3, |_| {
        Request::post("/ingest?name=app", b"the same profile")
    });
    let all = sent.len() as u64;
    relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == all);
    let times: BTreeSet<_> = target.stored().into_keys().map(|(_, time)| time).collect();
    assert_eq!(times.len(), sent.len());
}
