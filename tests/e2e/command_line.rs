//! The commands, as a shell sees them.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Answer, Relay, Request, SOON, Upstream, client, key::Key, poll, ports::Refusing,
};

/// A command with a directory of its own; ended when dropped.
struct Run {
    child: Child,
    home: TempDir,
}

/// What a command came to.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Starts `pyrotee` in a directory that has `file` as `pyrotee.yaml`.
fn start(file: &str, args: &[&str], environment: &[(&str, &str)]) -> Run {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(home.path().join("pyrotee.yaml"), file).expect("it can be written to");
    let create = |name: &str| File::create(home.path().join(name)).expect("it can be written to");
    let child = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
        .args(args)
        .envs(environment.iter().copied())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(create("stdout"))
        .stderr(create("stderr"))
        .spawn()
        .expect("the binary was built with this test");
    Run { child, home }
}

/// Runs a command that ends by itself.
fn run(file: &str, args: &[&str], environment: &[(&str, &str)]) -> Done {
    start(file, args, environment).done()
}

impl Run {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a command writes UTF-8")
    }

    fn done(mut self) -> Done {
        let ended = poll(SOON, || self.child.try_wait().expect("the child is ours"));
        let (out, err) = (self.read("stdout"), self.read("stderr"));
        let Some(status) = ended else {
            panic!("it still runs\n{out}\n{err}")
        };
        Done {
            code: status.code(),
            out,
            err,
        }
    }

    /// The address behind `marker` in what the command wrote to `name`.
    fn address(&self, name: &str, marker: &str) -> SocketAddr {
        let found = poll(SOON, || {
            let text = self.read(name);
            let rest = text.lines().find_map(|line| line.split_once(marker))?.1;
            let end = rest.find(|c: char| c == '"' || c.is_whitespace());
            rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
        });
        found.unwrap_or_else(|| panic!("no {marker:?} in {}", self.read(name)))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

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

/// Place and key of each.
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
    let first = run(VALID, &["check", "--config", "pyrotee.yaml"], &[]);
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""), "{first:?}");
    assert!(first.out.contains("it's $$5"), "{}", first.out);
    let second = run(&first.out, &["check", "--config", "pyrotee.yaml"], &[]);
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
fn help_tells_the_options_of_each_command() {
    let settings = [
        "--config",
        "--listen",
        "--admin",
        "--upstream",
        "--log-level",
        "--log-format",
        "PYROTEE_CONFIG",
    ];
    let commands: [(&str, &[&str]); 6] = [
        ("run", &settings),
        ("check", &settings),
        ("sink", &["--listen", "--status", "--delay", "--json"]),
        (
            "send",
            &["--to", "--name", "--count", "--file", "--timeout"],
        ),
        ("status", &["--admin", "PYROTEE_ADMIN", "--watch", "--json"]),
        ("healthcheck", &["--admin", "--live", "--timeout"]),
    ];
    let index = run("", &["--help"], &[]);
    assert_eq!(index.code, Some(0));
    for (command, options) in commands {
        assert!(index.out.contains(command), "{}", index.out);
        let done = run("", &[command, "--help"], &[]);
        assert_eq!(done.code, Some(0), "{command}");
        for option in options {
            assert!(done.out.contains(option), "{command} {option}");
        }
        assert!(done.out.contains("Example"), "{command} shows one");
    }
}

#[test]
fn the_version_tells_the_revision() {
    let done = run("", &["--version"], &[]);
    assert_eq!(done.code, Some(0));
    let mut words = done.out.split_whitespace();
    assert_eq!(words.next(), Some("pyrotee"));
    assert_eq!(words.next(), Some(env!("CARGO_PKG_VERSION")));
    let rest = words.collect::<Vec<_>>().join(" ");
    assert!(rest.len() >= 7, "a revision follows: {:?}", done.out);
}

#[test]
fn a_command_line_that_is_wrong_is_answered_with_the_usage() {
    for args in [&[] as &[&str], &["fly"], &["run", "--what"], &["send"]] {
        let done = run("", args, &[]);
        assert_eq!(done.code, Some(2), "{args:?}");
        assert!(done.err.contains("Usage"), "{args:?}: {}", done.err);
        assert_eq!(done.out, "", "{args:?}");
    }
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
    let plain = run(VALID, &["check", "--config", "pyrotee.yaml"], &[]);
    let done = run(VALID, &["check", "--config", "pyrotee.yaml"], &links);
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

#[test]
fn a_running_relay_obeys_its_flags() {
    let (upstream, taken) = (Upstream::ok(), TcpListener::bind("127.0.0.1:0").unwrap());
    let file = format!("listen: {0}\nadmin: {0}\n", taken.local_addr().unwrap());
    let url = upstream.url();
    let args = ["run", "--config", "pyrotee.yaml", "--listen", "127.0.0.1:0"];
    let more = ["--admin", "127.0.0.1:0", "--upstream", url.as_str()];
    let format = ["--log-format", "json", "--log-level", "info"];
    let relay = start(&file, &[&args[..], &more, &format].concat(), &[]);
    let found = poll(SOON, || {
        let log = relay.read("stderr");
        let mut lines = log
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let line = lines.find(|line| line["listener"] == "data")?;
        line["address"].as_str()?.parse().ok()
    });
    let address: SocketAddr = found.unwrap_or_else(|| panic!("{}", relay.read("stderr")));
    assert_eq!(client::send(address, &Request::get("/x")).status(), 200);
    assert_eq!(upstream.only().head.target(), "/x");
}

/// The examples of the documentation of Pyroscope's remote write, the address that its page lost
/// filled in.
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
fn what_is_sent_arrives_at_the_sink() {
    let sink = start("", &["sink", "--listen", "127.0.0.1:0", "--json"], &[]);
    let to = format!("http://{}/base", sink.address("stdout", "http://"));
    let name = "shop{region=eu}";
    let sent = run(
        "",
        &["send", "--to", &to, "--name", name, "--count", "3"],
        &[],
    );
    assert_eq!((sent.code, sent.err.as_str()), (Some(0), ""), "{sent:?}");
    let lines = received(&sink, 3);
    assert_eq!(sent.out.lines().count(), 3);
    for (line, sent) in lines.iter().zip(sent.out.lines()) {
        assert_eq!(line["app"], "shop");
        assert_eq!(line["tags"]["region"], "eu");
        assert_eq!(line["status"], 200);
        assert!(sent.starts_with("200 "), "{sent}");
        assert!(sent.contains(line["digest"].as_str().unwrap()), "{sent}");
    }
}

fn received(sink: &Run, count: usize) -> Vec<Value> {
    let lines = poll(SOON, || {
        let text = sink.read("stdout");
        let lines = text.lines().filter_map(|l| serde_json::from_str(l).ok());
        let lines: Vec<Value> = lines.collect();
        (lines.len() >= count).then_some(lines)
    });
    lines.unwrap_or_else(|| panic!("no {count} lines:\n{}", sink.read("stdout")))
}

#[test]
fn what_is_sent_through_a_relay_arrives_at_upstream_and_target() {
    let sink = start("", &["sink", "--listen", "127.0.0.1:0", "--json"], &[]);
    let (upstream, address) = (Upstream::ok(), sink.address("stdout", "http://"));
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address(
            "central",
            &format!("http://{address}"),
            &["tags: { env: x }"],
        )
        .spawn();
    let to = format!("http://{}", relay.addr());
    let sent = run("", &["send", "--to", &to, "--name", "app"], &[]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let lines = received(&sink, 1);
    assert_eq!(
        (&lines[0]["app"], &lines[0]["tags"]["env"]),
        (&"app".into(), &"x".into())
    );
    assert!(sent.out.contains(lines[0]["digest"].as_str().unwrap()));
    assert_eq!(Key::of(&upstream.only().head.query()), Key::new("app", &[]));
}

#[test]
fn a_refused_profile_is_an_exit_with_the_answer_and_the_next_step() {
    let args = ["sink", "--listen", "127.0.0.1:0", "--status", "401"];
    let sink = start("", &args, &[]);
    let to = format!("http://{}", sink.address("stdout", "http://"));
    let done = run("", &["send", "--to", &to, "--count", "5"], &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.out.starts_with("401 "), "{done:?}");
    assert!(
        done.err.contains("401") && done.err.contains("credentials"),
        "{done:?}"
    );
    let lines = done.out.lines().filter(|line| line.starts_with("401 "));
    assert_eq!(lines.count(), 1, "the first failure ends it");
}

#[test]
fn a_destination_that_is_gone_silent_or_no_address_is_an_exit_that_says_so() {
    let refusing = Refusing::new();
    let silent = Upstream::answering(Answer::never());
    for (to, part) in [
        (refusing.url(), refusing.url()),
        (silent.url(), "--timeout".to_owned()),
        ("localhost:4040".to_owned(), "http://".to_owned()),
        (
            "http://nowhere.invalid".to_owned(),
            "nowhere.invalid".to_owned(),
        ),
    ] {
        let done = run("", &["send", "--to", &to, "--timeout", "1s"], &[]);
        assert_eq!(done.code, Some(1), "{to}: {done:?}");
        assert!(done.err.contains(&part), "{to}: {done:?}");
        assert_eq!(done.out, "", "{to}");
    }
}

#[test]
fn a_sink_without_a_free_port_is_an_exit_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = run("", &["sink", "--listen", &address], &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.contains(&address), "{done:?}");
}
