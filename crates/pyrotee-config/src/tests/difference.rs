//! Tests of the difference between two configurations, and of its hash.

use super::{target, yaml};
use crate::{Config, needs_restart};

/// The changed keys, one line each.
#[track_caller]
fn changes(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (yaml(old).config(), yaml(new).config());
    lines(&old, &new)
}

fn lines(old: &Config, new: &Config) -> Vec<String> {
    let changes = old.difference(new).into_iter();
    changes
        .map(|change| format!("{} {}", change.key, change.kind))
        .collect()
}

/// A file with a target `a`, and lines of it indented by six.
fn with(lines: &str) -> String {
    format!("remote-write:\n  enabled: true\n  targets:\n    a:\n      address: https://a\n{lines}")
}

/// The changes of the target `a`, without the start of the key.
#[track_caller]
fn of_target(old: &str, new: &str) -> Vec<String> {
    let load = |text: &str| yaml(&with(text)).config();
    let (old, new) = (load(old), load(new));
    let lines = lines(&old, &new);
    let same = old.remote_write.targets == new.remote_write.targets;
    assert_eq!(same, lines.is_empty(), "{lines:?}");
    lines
        .iter()
        .map(|line| line.replace("remote-write.targets.a.", ""))
        .collect()
}

#[test]
fn equal_configurations_differ_in_nothing() {
    let text = with("      auth-token: t\n      headers: { X-A: a }\n      tags: { b: c }\n");
    assert_eq!(changes(&text, &text), [""; 0]);
    assert_eq!(changes("", "listen: \":4040\"\n# a comment\n"), [""; 0]);
    // The same values in another notation.
    assert_eq!(
        changes("memory-limit: 64MiB\n", "memory-limit: 67108864\n"),
        [""; 0]
    );
}

#[test]
fn keys_of_the_process_are_named_in_the_order_of_the_rendering() {
    assert_eq!(
        changes(
            "log: { level: info }\nadmin-token: a\nspool: { dir: /s }\n",
            "log: { level: debug, format: json }\nlisten: :1\nadmin-token: b\nreload: { interval: 1s, drain: 0 }\n\
             tee: { on: upstream-success }\nshutdown: { grace: 1s }\nadmin-hosts: x\nupstream: { timeout: 1s }\n\
             dead-letters: { dir: /d }\n",
        ),
        [
            "listen changed",
            "admin-token changed",
            "admin-hosts added",
            "upstream.timeout changed",
            "tee.on changed",
            "spool.dir removed",
            "spool.max-bytes removed",
            "spool.segment-bytes removed",
            "spool.fsync removed",
            "dead-letters.dir changed",
            "shutdown.grace changed",
            "reload.interval changed",
            "reload.drain changed",
            "log.level changed",
            "log.format changed",
        ]
    );
}

#[test]
fn every_key_of_a_target_is_seen() {
    for (old, new, expected) in [
        ("", "auth-token: a", "auth-token added"),
        ("auth-token: a", "auth-token: b", "auth-token changed"),
        ("auth-token: a", "", "auth-token removed"),
        ("tenant-id: a", "tenant-id: b", "tenant-id changed"),
        (
            "headers: { X-A: a }",
            "headers: { X-A: b }",
            "headers.x-a changed",
        ),
        ("headers: { X-A: a }", "", "headers.x-a removed"),
        ("", "tags: { pod: a }", "tags.pod added"),
        ("tags: { pod: a }", "tags: { pod: b }", "tags.pod changed"),
        ("", "tag-keys: utf8", "tag-keys changed"),
        (
            "paths: { push: /a }",
            "paths: { push: /b }",
            "paths.push changed",
        ),
        ("", "timeout: 1s", "timeout changed"),
        ("", "queue-size: 1", "queue-size changed"),
        ("", "queue-bytes: 1MiB", "queue-bytes changed"),
        ("", "queue-workers: 1", "queue-workers changed"),
        ("", "on-full: drop-oldest", "on-full changed"),
        ("", "max-age: 0", "max-age changed"),
        ("max-age: 1ms", "max-age: 1001us", "max-age changed"),
        ("", "on-ambiguous: drop", "on-ambiguous changed"),
        ("", "replay-rate: 0", "replay-rate changed"),
        (
            "replay-rate: 1000001",
            "replay-rate: 1MB",
            "replay-rate changed",
        ),
        ("", "outcomes: { 404: transient }", "outcomes.404 added"),
        (
            "outcomes: { 404 gone away: transient }",
            "outcomes: { 404 gone away: broken }",
            "outcomes.404 gone away changed",
        ),
    ] {
        let line = |key: &str| match key {
            "" => String::new(),
            key => format!("      {key}\n"),
        };
        let mut expected = vec![expected];
        // The default of `tee.max-body` follows from the largest queue.
        if new.starts_with("queue-bytes") {
            expected.insert(0, "tee.max-body changed");
        }
        assert_eq!(of_target(&line(old), &line(new)), expected, "{old} → {new}");
    }
    let other = with("").replace("https://a", "https://b");
    assert_eq!(
        changes(&with(""), &other),
        ["remote-write.targets.a.address changed"]
    );
}

#[test]
fn a_password_in_the_address_and_one_in_its_key_are_the_same() {
    let in_keys = with("      basic-auth-user: u\n      basic-auth-password: p\n");
    let in_address = with("").replace("https://a", "https://u:p@a");
    assert_eq!(changes(&in_keys, &in_address), [""; 0]);
    assert_eq!(
        changes(&in_address, &in_address.replace("u:p@", "u:q@")),
        ["remote-write.targets.a.basic-auth-password changed"]
    );
    assert_eq!(
        changes(&in_address, &with("      auth-token: t\n")),
        [
            "remote-write.targets.a.basic-auth-user removed",
            "remote-write.targets.a.basic-auth-password removed",
            "remote-write.targets.a.auth-token added",
        ]
    );
}

#[test]
fn a_target_is_added_removed_or_renamed_as_a_whole() {
    let (one, two) = (
        with(""),
        with("    b: { address: https://b, tags: { x: y } }\n"),
    );
    assert_eq!(changes(&one, &two), ["remote-write.targets.b added"]);
    assert_eq!(changes(&two, &one), ["remote-write.targets.b removed"]);
    assert_eq!(
        changes(&two, &two.replace("    a:\n", "    c:\n")),
        [
            "remote-write.targets.a removed",
            "remote-write.targets.c added"
        ]
    );
    assert_eq!(
        changes("", &one),
        [
            "remote-write.enabled changed",
            "remote-write.targets.a added"
        ]
    );
    let relay = one.replace(
        "enabled: true",
        "enabled: true\n  disable-local-writes: true",
    );
    let local = ["address", "timeout", "forwarded-headers", "max-connections"];
    let mut expected: Vec<_> = local.map(|key| format!("upstream.{key} removed")).into();
    expected.push("remote-write.disable-local-writes changed".to_owned());
    assert_eq!(changes(&one, &relay), expected);
}

#[test]
fn the_order_counts_for_rules_alone() {
    let file = |targets: [&str; 2]| {
        format!(
            "remote-write:\n  enabled: true\n  targets:\n{}{}",
            targets[0], targets[1]
        )
    };
    let (a, b) = (
        "    a: { address: https://a, headers: { X-A: a, X-B: b }, tags: { c: d, e: f } }\n",
        "    b: { address: https://b }\n",
    );
    let turned =
        "    a: { tags: { e: f, c: d }, headers: { X-B: b, X-A: a }, address: https://a }\n";
    assert_eq!(changes(&file([a, b]), &file([b, turned])), [""; 0]);

    let rules = |rules: &str| format!("      outcomes: {{ {rules} }}\n");
    let (foo, bar) = ("422 foo: broken", "422 bar: ok");
    assert_eq!(
        of_target(
            &rules(&format!("{foo}, {bar}")),
            &rules(&format!("{bar}, {foo}"))
        ),
        ["outcomes changed"]
    );
    let more = format!("422 new: throttled, {foo}, {bar}");
    assert_eq!(
        of_target(&rules(&format!("{foo}, {bar}")), &rules(&more)),
        ["outcomes.422 new added"]
    );
    assert_eq!(
        of_target(&rules(&more), &rules(bar)),
        ["outcomes.422 new removed", "outcomes.422 foo removed"]
    );
}

#[test]
fn a_difference_shows_no_value() {
    let load = |secret: &str| {
        target(&format!(
            "      auth-token: {secret}\n      headers: {{ X-A: {secret} }}\n"
        ))
        .config()
    };
    let changes = load("s3cr3t-1").difference(&load("s3cr3t-2"));
    assert_eq!(changes.len(), 2);
    assert!(!format!("{changes:?}").contains("s3cr3t"), "{changes:?}");
}

#[test]
fn the_hash_follows_all_but_secrets() {
    let hash = |lines: &str| yaml(&with(lines)).config().hash();
    let one = hash("      auth-token: a\n      tags: { b: c }\n");
    assert_eq!(one.len(), 16);
    assert!(one.bytes().all(|b| b.is_ascii_hexdigit()), "{one}");
    assert_eq!(one, hash("      auth-token: b\n      tags: { b: c }\n"));
    assert_ne!(one, hash("      auth-token: a\n      tags: { b: d }\n"));
    assert_ne!(one, hash("      tags: { b: c }\n"));
}

#[test]
fn keys_need_a_restart_or_do_not() {
    for key in [
        "tee.on",
        "admin-token",
        "log.level",
        "reload.drain",
        "remote-write.targets.a",
        "remote-write.targets.a.tags.listen",
        "remote-write.enabled",
    ] {
        assert!(!needs_restart(key), "{key}");
    }
    for key in [
        "listen",
        "admin",
        "log.format",
        "upstream.timeout",
        "memory-limit",
        "teeth",
        "",
    ] {
        assert!(needs_restart(key), "{key}");
    }
}
