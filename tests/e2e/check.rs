//! The command `check`: the faults of a configuration, and the sources of its values.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::support::command::run;

const EIGHT_FAULTS: &str = r#"listen: 4040
memory-limit: lots
upstream:
  adress: http://127.0.0.1:4042
shutdown:
  grace: 5
remote-write:
  enabled: maybe
  targets:
    central:
      address: ftp://central
      queue-size: -1
      tags:
        env: "a,b"
        env: c
"#;

/// Place and key of each fault.
const PLACES: [&str; 8] = [
    "pyrotee.yaml:1: listen: ",
    "pyrotee.yaml:2: memory-limit: ",
    "pyrotee.yaml:4: upstream.adress: ",
    "pyrotee.yaml:6: shutdown.grace: ",
    "pyrotee.yaml:8: remote-write.enabled: ",
    "pyrotee.yaml:11: remote-write.targets.central.address: ",
    "pyrotee.yaml:12: remote-write.targets.central.queue-size: ",
    "pyrotee.yaml:15: remote-write.targets.central.tags.env: ",
];

const VALID: &str = "
listen: 127.0.0.1:0
admin: 127.0.0.1:0
remote-write:
  enabled: true
  targets:
    central:
      address: http://127.0.0.1:9/base
      auth-token: ${TOKEN:-a-token}
      tenant-id: \"0404\"
      tags: { env: \"it's $$5: \\\"yes\\\"\" }
";

#[test]
fn check_and_run_name_all_eight_faults_of_a_file() {
    for command in ["check", "run"] {
        let done = run(EIGHT_FAULTS, &[command, "--config", "pyrotee.yaml"], &[]);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert_eq!(done.out, "");
        for place in PLACES {
            assert!(done.err.contains(place), "{place}\n{}", done.err);
        }
        let faults = done.err.lines().filter(|l| l.starts_with("pyrotee.yaml:"));
        assert!(faults.count() >= 8, "{}", done.err);
    }
}

#[test]
fn what_check_prints_is_a_configuration_that_means_the_same() {
    let first = run(VALID, &["check", "--print", "pyrotee.yaml"], &[]);
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""), "{first:?}");
    assert!(first.out.contains("it's $$5"), "{}", first.out);
    let second = run(&first.out, &["check", "--print", "pyrotee.yaml"], &[]);
    assert_eq!((second.code, second.err.as_str()), (Some(0), ""));
    assert_eq!(first.out, second.out);
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_that_names_it() {
    for file in ["absent.yaml", "."] {
        let done = run("", &["check", "--config", file], &[]);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.err.contains(file), "{done:?}");
        assert_eq!(done.out, "");
    }
}

#[test]
fn yaml_that_is_none_is_a_fault_with_its_line() {
    let file = "listen: \":4040\"\nupstream: { address: \n";
    let done = run(file, &["check", "--config", "pyrotee.yaml"], &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("pyrotee.yaml:"), "{done:?}");
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let done = run(VALID, &["check"], &[("PYROTEE_CONFIG", "pyrotee.yaml")]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("127.0.0.1:9/base"), "{}", done.out);
}

#[test]
fn what_kubernetes_puts_into_the_environment_is_harmless() {
    let links = [
        ("PYROTEE_SERVICE_HOST", "10.0.0.1"),
        ("PYROTEE_SERVICE_PORT", "4040"),
        ("PYROTEE_SERVICE_PORT_HTTP", "4040"),
        ("PYROTEE_PORT", "tcp://10.0.0.1:4040"),
        ("PYROTEE_PORT_4040_TCP", "tcp://10.0.0.1:4040"),
        ("PYROTEE_PORT_4040_TCP_PROTO", "tcp"),
        ("PYROTEE_PORT_4040_TCP_PORT", "4040"),
        ("PYROTEE_PORT_4040_TCP_ADDR", "10.0.0.1"),
    ];
    let plain = run(VALID, &["check", "--print", "pyrotee.yaml"], &[]);
    let done = run(VALID, &["check", "--print", "pyrotee.yaml"], &links);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert_eq!(done.out, plain.out);
}

#[test]
fn later_sources_go_over_earlier_ones() {
    let file = "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\nlog: { level: error }\n";
    let environment = [
        ("PYROTEE__ADMIN", "127.0.0.1:3"),
        ("pyrotee__log__level", "warn"),
        ("PYROTEE__SHUTDOWN__GRACE", "7s"),
    ];
    let args = [
        "check",
        "--print",
        "--config",
        "pyrotee.yaml",
        "--listen",
        "127.0.0.1:4",
        "--log-level",
        "debug",
        "--upstream",
        "http://127.0.0.1:5",
    ];
    let done = run(file, &args, &environment);
    assert_eq!(done.code, Some(0), "{done:?}");
    for line in [
        "listen: \"127.0.0.1:4\"",
        "admin: \"127.0.0.1:3\"",
        "address: http://127.0.0.1:5",
        "grace: 7s",
        "level: debug",
    ] {
        assert!(done.out.contains(line), "{line}\n{}", done.out);
    }
}

/// The examples from the documentation of Pyroscope's remote write. That page has lost the address; here it is filled
/// in.
const EXAMPLES: [&str; 4] = [
    "
remote-write:
  enabled: true
  targets:
    bar:
      address: http://bar:4040
      auth-token: MY_AUTH_TOKEN
      tags:
        foo: bar
    baz:
      address: http://baz:4040
      auth-token: MY_AUTH_TOKEN
      tags:
        foo: baz
",
    "
remote-write:
  enabled: true
  disable-local-writes: true
  targets:
    pyroscope-cloud:
      address: https://ingest.pyroscope.cloud
      auth-token: MY_AUTH_TOKEN
      tags:
        # optional tag to distinguish between different clusters you have
        cluster-name: my-cluster
",
    "
remote-write:
  enabled: true
  targets:
    bar:
      address: http://bar:4040
      auth-token: MY_AUTH_TOKEN
      tags:
        foo: bar

      # tweakable
      timeout: 1m
      queue-size: 100
      queue-workers: 4
",
    "
remote-write:
  enabled: true
  targets:
    my-cluster:
      address: http://bar:4040
",
];

#[test]
fn the_examples_of_pyroscopes_documentation_are_accepted() {
    for example in EXAMPLES {
        let done = run(example, &["check", "--config", "pyrotee.yaml"], &[]);
        assert_eq!(done.code, Some(0), "{example}\n{done:?}");
        assert!(!done.out.contains("MY_AUTH_TOKEN"), "{}", done.out);
        assert!(!done.err.contains("MY_AUTH_TOKEN"), "{}", done.err);
    }
}

#[test]
fn a_tag_with_a_dash_is_warned_of_once() {
    let done = run(EXAMPLES[1], &["check", "--config", "pyrotee.yaml"], &[]);
    let warnings: Vec<_> = done
        .err
        .lines()
        .filter(|l| l.contains("cluster-name"))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", done.err);
    assert!(warnings[0].contains("cluster_name"), "{}", warnings[0]);
}

#[test]
fn what_matters_is_told_in_a_few_lines_and_no_secret() {
    let done = run(VALID, &["check", "pyrotee.yaml"], &[]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.out.starts_with("configuration is valid\n"), "{done:?}");
    let target =
        "central: http://127.0.0.1:9/base, token, tenant 0404, tags env=it's $5: \"yes\"\n";
    assert!(done.out.contains(target), "{}", done.out);
    assert!(!done.out.contains("a-token"), "{}", done.out);
}

#[test]
fn a_file_is_named_once_or_twice_alike() {
    let variable = [("PYROTEE_CONFIG", "other.yaml")];
    for (args, environment) in [
        (&["check", "pyrotee.yaml"][..], &variable[..]),
        (&["check", "pyrotee.yaml", "--config", "pyrotee.yaml"], &[]),
        (&["check", "--config", "pyrotee.yaml"], &variable),
    ] {
        let done = run(VALID, args, environment);
        assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
    }
    let two = ["check", "pyrotee.yaml", "--config", "other.yaml"];
    let done = run(VALID, &two, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("give one of them"), "{done:?}");
}

#[test]
fn the_standard_input_may_be_the_file() {
    let check = |text: &str, args: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
            .arg("check")
            .args(args)
            .env_remove("PYROTEE_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    for args in [["-"].as_slice(), &["--config", "-"], &["/dev/stdin"]] {
        let done = check(VALID, args);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stdout).contains("127.0.0.1:9/base"));
    }
    let done = check("listen: 4040\n", &["-"]);
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    let faults = String::from_utf8_lossy(&done.stderr);
    assert!(faults.starts_with("stdin:1: listen: "), "{faults}");
}

#[test]
fn a_variable_with_one_underscore_is_warned_of() {
    let variables = [
        ("PYROTEE_MEMORY_LIMIT", "24MiB"),
        ("PYROTEE_ADMIN", "127.0.0.1:1"),
        ("PYROTEE_ADMIN_TOKEN", "t0ken"),
    ];
    let done = run(VALID, &["check", "pyrotee.yaml"], &variables);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    assert!(
        done.err.starts_with("warning: ")
            && done.err.contains("did you mean PYROTEE__MEMORY_LIMIT"),
        "{}",
        done.err
    );
}
