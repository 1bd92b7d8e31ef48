//! `github.com/summerwind/h2spec`, which tests a server against each rule of HTTP/2 (RFC 9113) and HPACK (RFC 7541).

use std::process::Stdio;

use crate::{
    support::{Answer, Relay, Upstream},
    tools::{Tools, command, program},
};

const NEEDS: &str = "go (1.21 or later, which fetches the newer one that the module asks for: \
    https://go.dev/dl, or Debian 13: apt-get install golang) and a module proxy that has \
    github.com/summerwind/h2spec";

const H2SPEC: &str = "github.com/summerwind/h2spec/cmd/h2spec";

/// The only rule that the relay does not keep, because its listener also speaks HTTP/1.1: an invalid HTTP/2 preface is
/// a request of HTTP/1.1, so it gets a 400 before the connection ends.
const EXCEPTIONS: [&str; 1] = ["Sends invalid connection preface"];

#[test]
fn the_listener_keeps_the_rules_of_http2() {
    let mut tools = Tools::new("h2spec", NEEDS);
    let binary = tools.home().join("h2spec");
    let mut build = command("go", &["build", "-mod=readonly", "-o"]);
    build
        .arg(&binary)
        .arg(H2SPEC)
        .current_dir(program("h2spec"));
    tools.install(&mut build);
    tools.took("installing");

    // Some rules need a response with a body.
    let upstream = Upstream::answering(Answer::status(200, b"ready"));
    let relay = Relay::builder().upstream(&upstream).spawn();
    let port = relay.addr().port().to_string();
    // Seconds that a rule may take, with a margin for a busy machine.
    let mut check = command(&binary, &["--port", &port, "--timeout", "5"]);
    let output = check.stdin(Stdio::null()).output().unwrap();
    tools.took("checking");
    let report = String::from_utf8_lossy(&output.stdout);
    let failed = report.split("Failures:").nth(1).unwrap_or_default();
    let mut rules: Vec<_> = failed.lines().filter(|line| line.contains('×')).collect();
    rules.retain(|rule| !EXCEPTIONS.iter().any(|exception| rule.contains(exception)));
    assert_eq!(rules, [""; 0], "{report}");
    assert!(report.contains("145 tests, 144 passed"), "{report}");
}
