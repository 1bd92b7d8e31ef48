use std::time::Duration;

use super::{
    RECOVERY, arrived, numbered, open, relay_only, send, series, stop, wait, wait_for_each,
    wait_until_connected, wait_until_done, wait_until_shared,
};
use crate::support::{
    Answer, Count, Relay, Request, SOON, Upstream, client, command::pyrotee, eventually, key::Key,
    nats::Nats, nightly, ports::Refusing,
};

#[test]
fn a_purge_takes_what_waits_here_and_in_the_stream_and_counts_it() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = relay_only(&nats, "after: 1s")
        .target_address("central", &port.url(), &[])
        .spawn();
    send(&relay, &numbered(40));
    wait_until_shared(&relay, 40);
    send(&relay, &["here".to_owned()]);
    let purge = Request::new("POST", "/api/v1/purge?target=central");
    let mut purged = 0;
    // A profile may be in flight at any moment.
    eventually(SOON, "all are purged", || {
        let answer = client::send(relay.admin(), &purge);
        assert_eq!(answer.status(), 200, "{answer:?}");
        purged += answer.json()["profiles"].as_u64().expect("a number");
        relay.ledger("central").dropped("admin").profiles == 41
    });
    assert_eq!((purged, nats.stored()), (41, 0));
    let ledger = relay.ledger("central");
    assert_eq!(ledger.lost().profiles, 41, "{ledger:?}");
    assert_eq!((ledger.pending, ledger.shared()), (Count::default(), 0));
    // What comes later is kept.
    send(&relay, &["later".to_owned()]);
    let target = open(&port);
    wait_for_each(&target, &["later".to_owned()], RECOVERY);
}

#[test]
fn a_removed_target_leaves_its_stream_alone_and_finds_it_when_it_returns() {
    let (nats, port, keep) = (Nats::start(), Refusing::new(), Upstream::ok());
    let without = relay_only(&nats, "after: 1s").target("keep", &keep, &[]);
    let with = without.clone().target_address("central", &port.url(), &[]);
    // A relay that stops leaves everything in the stream.
    let relay = with.clone().spawn();
    wait_until_connected(&relay);
    send(&relay, &numbered(10));
    stop(relay);
    assert_eq!(nats.stored(), 10);
    let relay = with.clone().spawn();
    relay.wait_until_ready();
    wait_until_connected(&relay);
    relay.reload_with(&without);
    eventually(3 * SOON, "the end of draining", || {
        relay.target_status("central").is_none()
    });
    assert_eq!(nats.stored(), 10, "nobody deletes a stream");
    let ledger = relay.ledger("central");
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    let target = open(&port);
    relay.reload_with(&with);
    wait_for_each(&target, &numbered(10), RECOVERY);
    wait_until_done(&relay, &nats);
}

#[test]
fn what_waits_here_for_a_removed_target_is_drained() {
    let (nats, port, keep) = (Nats::start(), Refusing::new(), Upstream::ok());
    let without = relay_only(&nats, "after: 1h").target("keep", &keep, &[]);
    let with = without.clone().target_address("central", &port.url(), &[]);
    let relay = with.spawn();
    relay.wait_until_ready();
    send(&relay, &numbered(10));
    relay.reload_with(&without);
    let target = open(&port);
    wait_for_each(&target, &numbered(10), RECOVERY);
    let ledger = wait(&relay, SOON, "all sent", |it| it.sent.profiles == 10);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
}

#[test]
fn relays_that_mean_different_tenants_by_one_name_do_not_mix_them() {
    let (nats, port, foreign) = (Nats::start(), Refusing::new(), Upstream::ok());
    let tenant = |tenant: &str| format!("tenant-id: {tenant}");
    let of_one =
        relay_only(&nats, "after: 1s").target_address("central", &port.url(), &[&tenant("one")]);
    let one = of_one.clone().spawn();
    wait_until_connected(&one);
    send(&one, &numbered(5));
    stop(one);
    assert_eq!(nats.stored(), 5);
    let two = relay_only(&nats, "after: 1s")
        .target("central", &foreign, &[&tenant("two")])
        .spawn();
    wait_until_connected(&two);
    eventually(3 * SOON, "records that are not its own", || {
        series(&two, "mismatched_total") >= 1.0
    });
    eventually(SOON, "a warning", || {
        let log = two.output();
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("tenant"))
    });
    send(&two, &["own".to_owned()]);
    two.wait_ledger("central", "its own", |it| it.sent.profiles == 1);
    assert_eq!(arrived(&foreign), ["own"]);
    assert_eq!(nats.stored(), 5);
    let ledger = two.ledger("central");
    assert_eq!(
        (ledger.shared(), ledger.lost()),
        (0, Count::default()),
        "{ledger:?}"
    );
    if !nightly() {
        // What the other relay gave back returns after a minute.
        return;
    }
    drop(two);
    let target = open(&port);
    let one = of_one.spawn();
    wait_for_each(&target, &numbered(5), Duration::from_secs(60) + RECOVERY);
    for request in target.requests() {
        assert_eq!(request.head.get("x-scope-orgid").as_deref(), Some("one"));
    }
    wait_until_done(&one, &nats);
}

#[test]
fn a_replayed_dead_letter_has_the_tags_of_the_relay_that_captured_it() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let letters = tempfile::tempdir().expect("a temporary directory can be made");
    let tagged = |pod: &str| {
        let tags = format!("tags: {{ pod: {pod} }}");
        relay_only(&nats, "after: 1h").target_address("central", &port.url(), &[&tags])
    };
    let a = tagged("a").spawn();
    wait_until_connected(&a);
    send(&a, &numbered(2));
    stop(a);
    assert_eq!(nats.stored(), 2);

    let refusing = Upstream::at(&port.address().to_string(), |_| {
        Answer::error(422, "invalid_argument", "not today")
    });
    let dir = format!("dead-letters: {{ dir: \"{}\" }}", letters.path().display());
    let of_b = tagged("b").yaml(&dir);
    let b = of_b.clone().spawn();
    send(&b, &["own".to_owned()]);
    wait_for_letters(&b, 3);
    drop(refusing);
    let mended = open(&port);
    replay(&b, &["app000", "own"]);
    wait_for_each(&mended, &["app000".to_owned(), "own".to_owned()], RECOVERY);

    stop(b);
    let b = of_b.spawn();
    wait_for_letters(&b, 1);
    replay(&b, &["app001"]);
    eventually(RECOVERY, "the other one", || mended.requests().len() == 3);
    for request in mended.requests() {
        let key = Key::of(&request.head.query());
        let captor = if key.app == "own" { "b" } else { "a" };
        assert_eq!(key.tags["pod"], captor, "{key:?}");
    }
    wait_for_letters(&b, 0);
}

fn wait_for_letters(relay: &Relay, count: u32) {
    eventually(RECOVERY, &format!("{count} dead letters"), || {
        relay
            .metrics()
            .value("pyroscope_remote_write_dead_letters", &[])
            == Some(f64::from(count))
    });
}

/// Replays the dead letters of these apps.
fn replay(relay: &Relay, apps: &[&str]) {
    let page = client::send(relay.admin(), &Request::get("/api/v1/dead-letters")).json();
    let letters = page["letters"].as_array().expect("a list");
    for app in apps {
        let letter = letters.iter().find(|it| it["app"] == *app);
        let id = letter.expect("it was rejected")["id"].as_str();
        let admin = relay.admin().to_string();
        let id = id.expect("a text");
        let done = pyrotee(&["dead-letters", "replay", id, "--admin", &admin]);
        assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    }
}
