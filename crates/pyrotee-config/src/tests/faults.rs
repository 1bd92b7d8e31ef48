//! Tests that all faults are reported at once, each with its place.

use super::{target, yaml};

#[test]
fn a_file_of_eight_faults_names_all_eight() {
    let case = yaml(
        r#"listen: 4040
upstream:
  timeout: 5
tee:
  on: sometimes
remote_write: {}
remote-write:
  enabled: true
  targets:
    bar:
      address: bar:4040
      queue-siez: 7
      tags: { env: "a,b" }
    baz:
      address: http://baz:4040/?x=1
"#,
    );
    assert_eq!(
        case.faults(),
        "\
pyrotee.yaml:1: listen: `4040` has no `:`; write :PORT for all interfaces, or IP:PORT
pyrotee.yaml:3: upstream.timeout: `5` has no unit; write one, as in 5s, 500ms or 1h30m
pyrotee.yaml:5: tee.on: `sometimes` is not known; write one of always, upstream-success
pyrotee.yaml:6: remote_write: unknown key; did you mean `remote-write`?
pyrotee.yaml:11: remote-write.targets.bar.address: has no scheme; write http://… or https://…
pyrotee.yaml:12: remote-write.targets.bar.queue-siez: unknown key; did you mean `queue-size`?
pyrotee.yaml:13: remote-write.targets.bar.tags.env: ',' cannot be sent in a value, Pyroscope has no way to escape it; leave it out
pyrotee.yaml:15: remote-write.targets.baz.address: has a query; remove everything from the `?` on
8 faults in the configuration"
    );
}

#[test]
fn faults_of_all_sources_are_sorted_by_place() {
    let mut case = target("      queue-size: -1\n")
        .env("PYROTEE__MEMORY_LIMIT", "lots")
        .env("PYROTEE__ADMIN", "nowhere");
    case.flags.log_level = Some("loud".to_owned());
    case.flags.listen = Some("4040".to_owned());
    assert_eq!(
        case.faults(),
        "\
pyrotee.yaml:6: remote-write.targets.bar.queue-size: `-1` is negative; write a whole number
environment PYROTEE__ADMIN: admin: `nowhere` has no `:`; write :PORT for all interfaces, or IP:PORT
environment PYROTEE__MEMORY_LIMIT: memory-limit: `lots` is not a size; write one such as 64MiB, 5M or 1048576
flag --listen: listen: `4040` has no `:`; write :PORT for all interfaces, or IP:PORT
flag --log-level: log.level: `loud` is not known; write one of error, warn, info, debug, trace
5 faults in the configuration"
    );
}

#[test]
fn an_underscore_in_a_key_of_the_file_is_an_unknown_key_with_that_suggestion() {
    target("      queue_size: 7\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.queue_size: unknown key; \
         did you mean `queue-size`?",
    );
}

#[test]
fn a_key_at_the_wrong_depth_is_told_where_it_belongs() {
    yaml("targets: {}\n")
        .fault_is("pyrotee.yaml:1: targets: unknown key here; it belongs under `remote-write`");
    yaml("queue-workers: 3\n").fault_is(
        "pyrotee.yaml:1: queue-workers: unknown key here; \
         it belongs under `remote-write.targets.NAME`",
    );
}

#[test]
fn a_key_like_no_other_is_answered_with_the_keys_there_are() {
    yaml("log: { colour: red }\n")
        .fault_is("pyrotee.yaml:1: log.colour: unknown key; known here: level, format");
}

#[test]
fn a_value_of_the_wrong_shape_is_one_fault() {
    yaml("listen: [1]\n")
        .fault_is("pyrotee.yaml:1: listen: takes one value, not a list or map; write `key: value`");
    yaml("remote-write:\n  enabled: true\n  targets: bar\n").fault_is(
        "pyrotee.yaml:3: remote-write.targets: takes keys of its own; indent them below it as \
         `key: value`",
    );
    yaml("- listen\n")
        .fault_is("pyrotee.yaml:1: takes keys of its own; indent them below it as `key: value`");
    target("      tags: none\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.tags: takes keys of its own; indent them below \
         it as `key: value`",
    );
}

#[test]
fn a_word_for_a_boolean_is_refused() {
    yaml("remote-write: { enabled: yes }\n").fault_is(
        "pyrotee.yaml:1: remote-write.enabled: `yes` is neither true nor false; \
         write one of them",
    );
}

#[test]
fn zero_bytes_and_zero_waits_are_refused_but_zero_grace_is_not() {
    let faults =
        yaml("memory-limit: 0\nupstream: { timeout: 0s }\nshutdown: { grace: 0 }\n").faults();
    assert!(
        faults.contains("memory-limit: `0` is zero; write a size"),
        "{faults}"
    );
    assert!(
        faults.contains("upstream.timeout: `0s` is no time at all"),
        "{faults}"
    );
    assert!(
        faults.ends_with("2 faults in the configuration"),
        "{faults}"
    );
    assert!(
        yaml("shutdown: { grace: 0 }\n")
            .config()
            .shutdown_grace
            .is_zero()
    );
}

#[test]
fn listeners_on_one_port_are_refused() {
    yaml("admin: :4040\n")
        .fault_is("pyrotee.yaml:1: admin: is the same as `listen` (:4040); write another port");
    yaml("listen: :4041\n")
        .fault_is("pyrotee.yaml:1: listen: is the same as `admin` (:4041); write another port");
}

#[test]
fn an_address_that_leads_back_is_refused() {
    yaml("upstream: { address: http://localhost:4040 }\n").fault_is(
        "pyrotee.yaml:1: upstream.address: leads back to pyrotee's own `listen` (:4040); \
         write the other address",
    );
    target("    baz: { address: \"http://[::1]:4040/x\" }\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.baz.address: leads back to pyrotee's own `listen` \
         (:4040); write the other address",
    );
    let mut case = yaml("");
    case.flags.listen = Some(":4042".to_owned());
    assert!(case.faults().contains("upstream.address: leads back"));
}

#[test]
fn a_path_of_the_upstream_is_refused() {
    yaml("upstream: { address: http://pyroscope:4040/base }\n").fault_is(
        "pyrotee.yaml:1: upstream.address: has a path, but requests keep the path of the client; \
         remove it",
    );
}

#[test]
fn credentials_in_the_upstream_are_refused() {
    yaml("upstream: { address: http://me:word@pyroscope:4040 }\n").fault_is(
        "pyrotee.yaml:1: upstream.address: has a user or password, which only targets take; \
         remove it",
    );
}

#[test]
fn enabled_without_targets_is_refused() {
    for text in [
        "remote-write:\n  enabled: true\n",
        "remote-write: {enabled: true, targets: }",
    ] {
        yaml(text).fault_is(
            "pyrotee.yaml:1: remote-write.targets: are missing while remote write is enabled; \
             add one, or write `enabled: false`",
        );
    }
    yaml("")
        .env("PYROTEE__REMOTE_WRITE__ENABLED", "true")
        .fault_is(
            "environment PYROTEE__REMOTE_WRITE__ENABLED: remote-write.targets: are missing while \
         remote write is enabled; add one, or write `enabled: false`",
        );
}

/// The file of a Pyroscope 0.37 with Remote Write, as its documentation shows it.
const SERVER_YML: &str = "\
analytics-opt-out: true
log-level: debug
storage-path: /var/lib/pyroscope
api-bind-addr: :4040
retention: 168h
no-self-profiling: true
remote-write:
  enabled: true
  targets:
    bar: { address: http://bar:4040 }
scrape-configs:
  - job-name: a
    static-configs: [{ application: a, targets: [a:1] }]
";

#[test]
fn the_whole_file_of_a_pyroscope_server_is_one_fault_that_says_what_to_keep() {
    yaml(SERVER_YML).fault_is(
        "pyrotee.yaml:1: this is the configuration of a Pyroscope server: keep the blocks `remote-write` and \
         `scrape-configs` in a file of their own for pyrotee, and leave Pyroscope's own keys out (analytics-opt-out, \
         log-level, storage-path, api-bind-addr, retention, no-self-profiling)",
    );
    let broken = SERVER_YML.replace("address", "adress");
    let faults = yaml(&broken).faults();
    assert!(
        faults.contains("did you mean `address`?")
            && faults.ends_with("3 faults in the configuration"),
        "{faults}"
    );
}

#[test]
fn a_single_key_of_a_pyroscope_server_is_an_unknown_key() {
    let faults = yaml("log-level: debug\n").faults();
    assert!(faults.contains("log-level: unknown key"), "{faults}");
}
