//! Targets that are added, left alone, and changed.

use std::{thread, time::Duration};

use super::{names, on_request, send, tag, upload};
use crate::support::{Answer, Arrival, Client, Count, Request, SOON, Upstream, eventually};

#[test]
fn an_unchanged_target_keeps_its_connection_while_others_come_and_go() {
    let (central, other) = (Upstream::ok(), Upstream::ok());
    let one = on_request().target("central", &central, &["tags: { a: b }"]);
    let two = one.clone().target("other", &other, &[]);
    let relay = one.clone().spawn();
    // An upload that begins before the one before it has ended needs another connection.
    let settle = || relay.wait_ledger("central", "all sent", |it| it.pending.profiles == 0);
    for round in 0..3 {
        upload(&relay, &central, &format!("before{round}"));
        settle();
        let report = relay.reload_with(&two);
        let added = if round == 0 { "added" } else { "returned" };
        assert_eq!(report.targets(), [("other", added)]);
        upload(&relay, &central, &format!("with{round}"));
        settle();
        upload(&relay, &other, &format!("both{round}"));
        settle();
        assert_eq!(relay.reload_with(&one).targets(), [("other", "removed")]);
    }
    assert_eq!(central.connections(), 1);
    assert_eq!(relay.ledger("central").lost(), Count::default());
}

#[test]
fn a_reload_without_a_change_touches_nothing() {
    let central = Upstream::ok();
    let builder = on_request().target("central", &central, &["tags: { a: b }"]);
    let relay = builder.clone().spawn();
    upload(&relay, &central, "before");
    relay.wait_ledger("central", "sent", |it| it.sent.profiles == 1);
    let hash = relay.hash();
    for text in [
        relay.text_of(&builder),
        relay.text_of(&builder) + "# a comment\n",
    ] {
        relay.config().rename_over(&text);
        let report = relay.reload();
        assert_eq!((report.result(), report.hash()), ("unchanged", &*hash));
        assert!(report.targets().is_empty() && report.list("changes").is_empty());
    }
    upload(&relay, &central, "after");
    assert_eq!(central.connections(), 1);
}

#[test]
fn a_changed_tag_is_in_the_next_upload_on_the_same_connection() {
    let central = Upstream::ok();
    let with = |tags: &str| {
        let tags = format!("tags: {{ {tags} }}");
        on_request().target("central", &central, &[&tags])
    };
    let relay = with("v: old, gone: x").spawn();
    let first = upload(&relay, &central, "first");
    relay.wait_ledger("central", "sent", |it| it.sent.profiles == 1);
    assert_eq!(tag(&first, "v").as_deref(), Some("old"));
    let report = relay.reload_with(&with("v: new, here: y"));
    assert_eq!(report.target("central"), Some("changed"));
    let key = |tag: &str| format!("remote-write.targets.central.tags.{tag}");
    for (tag, kind) in [("v", "changed"), ("gone", "removed"), ("here", "added")] {
        assert!(report.has_change(&key(tag), kind), "{tag}: {report:?}");
    }
    let second = upload(&relay, &central, "second");
    assert_eq!(tag(&second, "v").as_deref(), Some("new"));
    assert_eq!(tag(&second, "here").as_deref(), Some("y"));
    assert_eq!(tag(&second, "gone"), None);
    assert_eq!(central.connections(), 1);
}

#[test]
fn each_key_of_a_request_changes_with_the_next_upload() {
    let central = Upstream::ok();
    let with = |options: &[&str]| on_request().target("central", &central, options);
    let relay = with(&["tenant-id: one"]).spawn();
    let field = |name: &str, field: &str| upload(&relay, &central, name).head.get(field);
    assert_eq!(field("a", "x-scope-orgid").as_deref(), Some("one"));
    relay.reload_with(&with(&["tenant-id: two"]));
    assert_eq!(field("b", "x-scope-orgid").as_deref(), Some("two"));
    relay.reload_with(&with(&["headers: { X-Extra: three }"]));
    assert_eq!(field("c", "x-scope-orgid"), None);
    assert_eq!(field("d", "x-extra").as_deref(), Some("three"));
    relay.reload_with(&with(&["auth-token: S3cr-four"]));
    assert_eq!(
        field("e", "authorization").as_deref(),
        Some("Bearer S3cr-four")
    );
    let basic = ["basic-auth-user: u", "basic-auth-password: S3cr-five"];
    relay.reload_with(&with(&basic));
    assert!(field("f", "authorization").is_some_and(|it| it.starts_with("Basic ")));
    relay.reload_with(&with(&["paths: { ingest: /gw/profiles }"]));
    assert_eq!(upload(&relay, &central, "g").head.path(), "/gw/profiles");
    assert!(!relay.output().contains("S3cr-"), "{}", relay.output());
}

#[test]
fn a_changed_limit_applies_to_the_queue_that_waits() {
    let stuck = Upstream::answering(Answer::never());
    let with = |options: &[&str]| {
        let common = ["timeout: 1m", "queue-workers: 1"];
        on_request().target("central", &stuck, &[&common[..], options].concat())
    };
    let relay = with(&["queue-size: 3"]).spawn();
    let mut client = Client::connect(relay.addr());
    let mut status = |name: &str| {
        let answer = client.exchange(&Request::profile(name, b"profile"));
        answer.status()
    };
    let first: Vec<_> = (0..4).map(|number| status(&format!("a{number}"))).collect();
    assert_eq!(first, [200, 200, 200, 503]);
    relay.reload_with(&with(&["queue-size: 5"]));
    let second: Vec<_> = (0..3).map(|number| status(&format!("b{number}"))).collect();
    assert_eq!(second, [200, 200, 503]);
    relay.reload_with(&with(&["queue-size: 5", "on-full: drop-oldest"]));
    assert_eq!(status("c"), 200);
    let ledger = relay.ledger("central");
    assert_eq!(ledger.accepted.profiles, 8);
    assert_eq!(ledger.dropped("queue_full").profiles, 3, "{ledger:?}");
    relay.reload_with(&with(&["queue-size: 5", "max-age: 1s"]));
    relay.wait_ledger("central", "expired", |it| {
        it.dropped("expired").profiles == 4
    });
}

#[test]
fn a_changed_number_of_workers_bounds_the_uploads_at_once() {
    let slow = Upstream::answering(Answer::ok().after(Duration::from_millis(100)));
    let with = |workers: &str| {
        let workers = format!("queue-workers: {workers}");
        on_request().target("central", &slow, &[&workers])
    };
    let relay = with("1").spawn();
    let uploads = |field: &str| {
        let status = relay.target_status("central").expect("it is configured");
        status["uploads"][field].as_u64().expect("a number")
    };
    let send_some = || send(&relay, &["app"; 30]);
    send_some();
    assert_eq!((uploads("most"), uploads("limit")), (1, 1));
    relay.reload_with(&with("16"));
    assert_eq!(uploads("most"), 16);
    eventually(SOON, "several uploads at once", || uploads("in_flight") > 1);
    relay.reload_with(&with("1"));
    assert_eq!((uploads("most"), uploads("limit")), (1, 1));
    send_some();
    eventually(SOON, "one upload at once", || uploads("in_flight") <= 1);
    let ledger = relay.wait_ledger("central", "all sent", |it| it.sent.profiles == 60);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
}

#[test]
fn credentials_that_change_end_a_suspension_at_once() {
    let guarded = |arrival: &Arrival<'_>| match arrival.head.get("authorization").as_deref() {
        Some("Bearer right") => Answer::ok(),
        _ => Answer::error(401, "unauthenticated", "invalid token"),
    };
    let central = Upstream::script(guarded);
    let with = |token: &str| {
        let token = format!("auth-token: {token}");
        on_request().target("central", &central, &[&token, "queue-workers: 1"])
    };
    let relay = with("wrong").spawn();
    let sent: Vec<_> = (0..10).map(|number| format!("app{number}")).collect();
    send(&relay, &sent.iter().map(String::as_str).collect::<Vec<_>>());
    // The first probe has been refused too: the next one is due in half a minute.
    eventually(SOON, "a long suspension", || {
        let status = relay.target_status("central").expect("it is configured");
        status["suspended"][0]["next_try_seconds"].as_f64() > Some(15.0)
    });
    relay.reload_with(&with("right"));
    let ledger = relay.wait_ledger("central", "all sent", |it| it.sent.profiles == 10);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    let mut delivered = names(&central);
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered, sent);
    eventually(SOON, "a healthy target", || {
        let status = relay.target_status("central").expect("it is configured");
        status["state"] == "healthy"
    });
}

#[test]
fn a_tag_that_changes_does_not_end_a_pause_that_the_target_asked_for() {
    let throttled = Answer::with(429, &[("Retry-After", "120")], b"");
    let central = Upstream::answering(throttled);
    let with = |tag: &str| {
        let tags = format!("tags: {{ v: {tag} }}");
        on_request().target("central", &central, &[&tags])
    };
    let relay = with("old").spawn();
    send(&relay, &["a", "b", "c"]);
    let status = || relay.target_status("central").expect("it is configured");
    let pause = || status()["next_try_seconds"].as_f64();
    eventually(SOON, "a pause", || pause() > Some(30.0));
    eventually(SOON, "no upload in flight", || {
        status()["uploads"]["in_flight"] == 0
    });
    let uploads = central.arrivals().len();
    relay.reload_with(&with("new"));
    thread::sleep(Duration::from_millis(500));
    assert!(pause() > Some(30.0), "{:?}", pause());
    assert_eq!(central.arrivals().len(), uploads);
}
