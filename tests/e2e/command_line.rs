//! The help, the version and the flags of the commands, as a shell sees them.

use std::net::{SocketAddr, TcpListener};

use serde_json::Value;

use crate::support::{
    Request, SOON, Upstream, client,
    command::{run, start},
    poll,
};

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
    let commands: [(&str, &[&str]); 8] = [
        ("run", &settings),
        ("check", &settings),
        ("sink", &["--listen", "--status", "--delay", "--json"]),
        (
            "send",
            &["--to", "--name", "--count", "--file", "--timeout"],
        ),
        ("status", &["--admin", "PYROTEE_ADMIN", "--watch", "--json"]),
        ("reload", &["--admin", "PYROTEE_ADMIN", "--config"]),
        ("healthcheck", &["--admin", "--live", "--timeout"]),
        ("runbook", &["NAME"]),
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
    let command = run("", &["version"], &[]);
    assert_eq!((command.code, command.out), (Some(0), done.out));
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
