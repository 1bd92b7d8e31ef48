//! Tests of the layers (defaults < file < environment < flags), and of settings that depend on several keys.

use std::time::Duration;

use super::{target, yaml};
use crate::{Duplicates, LocalWrites, Sources, load};

#[test]
fn each_source_goes_over_the_one_before() {
    let upstream = |config: super::Config| config.upstream.unwrap().address.to_string();
    let file = || yaml("upstream: { address: http://file }\n");
    let env = || file().env("PYROTEE__UPSTREAM__ADDRESS", "http://env");
    assert_eq!(upstream(yaml("").config()), "http://127.0.0.1:4042");
    assert_eq!(upstream(file().config()), "http://file");
    assert_eq!(upstream(env().config()), "http://env");
    let mut all = env();
    all.flags.upstream = Some("http://flag".to_owned());
    assert_eq!(upstream(all.config()), "http://flag");
}

#[test]
fn the_defaults_are_these() {
    let config = load(Sources {
        cpus: 2,
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(
        config.to_yaml(),
        r#"listen: ":4040"
admin: ":4041"
upstream:
  address: http://127.0.0.1:4042
  timeout: 1m
  forwarded-headers: true
  max-connections: 0
memory-limit: 256MiB
tee:
  max-body: 64MiB
  on: always
  duplicates: drop
shutdown:
  grace: 25s
reload:
  interval: 5s
  drain: 10m
log:
  level: info
  format: text
scrape:
  max-body: 16MiB
  max-unpacked: 64MiB
  max-targets: 1000
  max-concurrent: 16
  state-limit: 32MiB
remote-write:
  enabled: false
  disable-local-writes: false
  targets: {}
"#
    );
    assert_eq!(config.warnings(), [""; 0]);
}

#[test]
fn reload_takes_zero_for_never_and_no_interval_that_is_a_busy_loop() {
    let reload = |text: &str| yaml(&format!("reload: {{ {text} }}\n")).config().reload;
    assert_eq!(reload("interval: 0").interval, Duration::ZERO);
    assert_eq!(reload("interval: 10ms").interval, Duration::from_millis(10));
    assert_eq!(reload("drain: 0").drain, Duration::ZERO);
    assert_eq!(reload("drain: 1.5h").drain, Duration::from_secs(5400));
    yaml("reload: { interval: 9ms }\n").fault_is(
        "pyrotee.yaml:1: reload.interval: `9ms` is shorter than 10ms; write one such as 5s, or 0 for never",
    );
    yaml("reload: { drain: -1s }\n")
        .fault_is("pyrotee.yaml:1: reload.drain: `-1s` is negative; write a duration such as 10s");
}

#[test]
fn repetitions_are_dropped_unless_the_opposite_is_asked_for() {
    let duplicates = |text: &str| yaml(text).config().tee.duplicates;
    assert_eq!(duplicates(""), Duplicates::Drop);
    assert_eq!(duplicates("tee: { duplicates: drop }\n"), Duplicates::Drop);
    assert_eq!(duplicates("tee: { duplicates: tee }\n"), Duplicates::Tee);
    yaml("tee: { duplicates: both }\n")
        .fault_is("pyrotee.yaml:1: tee.duplicates: `both` is not known; write one of drop, tee");
}

#[test]
fn a_small_memory_limit_shrinks_the_defaults_below_it() {
    for (queue, more, expected) in [
        ("", "memory-limit: 24MiB\n", 6 << 20),
        (
            "      queue-bytes: 10MiB\n",
            "memory-limit: 24MiB\n",
            10 << 20,
        ),
        (
            "      queue-bytes: 24MiB\n",
            "memory-limit: 24MiB\n",
            18 << 20,
        ),
        ("      queue-bytes: 256MiB\n", "", 64 << 20),
        ("      queue-bytes: 1MiB\n", "", 1 << 20),
        (
            "      queue-bytes: 1MiB\n",
            "tee: { max-body: 5MiB }\n",
            5 << 20,
        ),
    ] {
        let mut case = target(queue);
        case.yaml.push_str(more);
        assert_eq!(case.config().tee.max_body, expected, "{queue}{more}");
    }
    let mut case = target("");
    case.yaml.push_str("memory-limit: 24MiB\n");
    let config = case.config();
    assert_eq!(config.remote_write.targets[0].queue_bytes, 6 << 20);
    assert_eq!(config.warnings(), [""; 0]);
    let without_targets = yaml("memory-limit: 24MiB\n").config();
    assert_eq!(without_targets.tee.max_body, 18 << 20);
}

#[test]
fn a_memory_limit_that_is_of_little_use_is_warned_of() {
    for (limit, warns) in [("10", true), ("8191KiB", true), ("8MiB", false)] {
        let mut case = target("");
        case.yaml.push_str(&format!("memory-limit: {limit}\n"));
        let warnings = case.config().warnings().to_vec();
        let warned = warnings.iter().any(|it| it.starts_with("memory-limit: "));
        assert_eq!(warned, warns, "{warnings:?}");
    }
}

#[test]
fn a_given_body_that_memory_never_has_room_for_is_warned_of_and_a_queue_refused() {
    let config = yaml("memory-limit: 32MiB\ntee: { max-body: 25MiB }\n").config();
    assert_eq!(
        config.warnings(),
        [
            "tee.max-body: 25MiB is more than 22MiB, the longest body that a `memory-limit` of 32MiB has room for; \
             a longer body is never teed"
        ]
    );
    let fits = yaml("memory-limit: 32MiB\ntee: { max-body: 22MiB }\n").config();
    assert_eq!(fits.warnings(), [""; 0]);
    target("      queue-bytes: 1GiB\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.queue-bytes: is more than `memory-limit` \
         (256MiB), which holds all queues; raise that or lower this",
    );
}

#[test]
fn without_local_writes_there_is_an_upstream_only_if_one_is_named() {
    let relay = |enabled, more: &str| {
        yaml(&format!(
            "remote-write:\n  enabled: {enabled}\n  disable-local-writes: true\n  targets:\n    \
             a: {{ address: http://a }}\n{more}"
        ))
        .config()
    };
    assert!(relay(true, "").upstream.is_none());
    let named = relay(true, "upstream: { address: http://pyroscope:4040 }\n");
    assert!(named.upstream.is_some());
    assert_eq!(named.remote_write.local_writes, LocalWrites::Discard);
    let unused = relay(true, "upstream: { timeout: 1s }\n");
    assert!(unused.upstream.is_none());
    assert!(unused.warnings()[0].contains("means nothing without an address"));
    let off = relay(false, "");
    assert!(off.upstream.is_some());
    assert_eq!(off.remote_write.local_writes, LocalWrites::Forward);
    assert!(off.warnings()[0].contains("disable-local-writes: means nothing"));
}

#[test]
fn targets_without_enabled_are_checked_and_warned_of() {
    let config = yaml("remote-write: { targets: { a: { address: http://a } } }\n").config();
    assert!(!config.remote_write.enabled);
    assert_eq!(config.remote_write.targets.len(), 1);
    assert_eq!(
        config.warnings(),
        ["remote-write.enabled: is not set, so nothing goes to the targets; write `enabled: true`"]
    );
    let off = yaml("remote-write: { enabled: false, targets: { a: { address: h } } }\n").faults();
    assert!(off.contains("targets.a.address: has no scheme"), "{off}");
}

#[test]
fn the_number_of_workers_follows_from_the_cpus() {
    for (cpus, workers) in [(0, 64), (2, 64), (17, 68), (usize::MAX, 10_000)] {
        let env = vec![(
            "PYROTEE__REMOTE_WRITE__TARGETS__A__ADDRESS".into(),
            "http://a".into(),
        )];
        let config = load(Sources {
            env,
            cpus,
            ..Sources::default()
        })
        .unwrap();
        assert_eq!(config.remote_write.targets[0].queue_workers, workers);
    }
}

#[test]
fn the_effective_configuration_is_read_back_as_the_same() {
    let config = target(
        r#"      auth-token: t
      tenant-id: "!-_.*'()"
      headers: { X-Key: k, x-other: "" }
      tags: { a: "q\"u\\o'te: #", b: "$${x$", c: "null", d: "0404", e: "é\u2028x", f: "on" }
      timeout: 1.5h
      queue-bytes: 1500
      on-full: drop-oldest
      max-age: 90s
      on-ambiguous: drop
      replay-rate: 1500kB
      outcomes: { 404: transient, "422 \"$x: é": rejected }
    off: { address: "https://u:p@[::1]:1/x/" }
"#,
    )
    .config();
    let written = config.to_yaml();
    let again = yaml(&written).config();
    assert_eq!(again.to_yaml(), written);
    let tags = |config: &super::Config| {
        let tags = &config.remote_write.targets[0].tags;
        tags.iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(tags(&again), tags(&config));
    assert!(
        written.contains("basic-auth-user: \"<redacted>\""),
        "{written}"
    );
}
