//! How commands find the relay: `--admin`, `PYROTEE_ADMIN`, `admin` of the configuration, the default.

use crate::support::{
    Relay, Upstream,
    command::{Done, run},
    ports::Refusing,
};

/// A relay without targets of its own.
fn relay() -> (Relay, Upstream) {
    let upstream = Upstream::ok();
    let relay = Relay::builder().upstream(&upstream).spawn();
    (relay, upstream)
}

/// Runs a command in a directory with `file` as `pyrotee.yaml`. Variables that are not given are empty.
fn command(file: &str, args: &[&str], environment: &[(&str, &str)]) -> Done {
    let unset = ["PYROTEE_ADMIN", "PYROTEE_CONFIG", "PYROTEE__ADMIN"].map(|name| (name, ""));
    run(file, args, &[&unset[..], environment].concat())
}

const CHECK: &[&str] = &["healthcheck"];
const BY_FLAG: &[&str] = &["healthcheck", "--config", "pyrotee.yaml"];
const FILE: (&str, &str) = ("PYROTEE_CONFIG", "pyrotee.yaml");

#[test]
fn the_flag_comes_first_then_the_environment_then_the_configuration() {
    let ((relay, _upstream), nobody) = (relay(), Refusing::new());
    let (here, none) = (relay.admin().to_string(), nobody.address().to_string());
    let of_here = format!("admin: {here}\n");
    let of_none = format!("admin: {none}\n");

    let flag = [CHECK, &["--admin", &here]].concat();
    command(&of_none, &flag, &[("PYROTEE_ADMIN", &none), FILE]).expect(0, &["ready"]);
    command(&of_none, CHECK, &[("PYROTEE_ADMIN", &here), FILE]).expect(0, &["ready"]);
    command(&of_here, CHECK, &[FILE]).expect(0, &["ready"]);
    command(&of_here, BY_FLAG, &[]).expect(0, &["ready"]);
    command(&of_none, CHECK, &[("PYROTEE__ADMIN", &here), FILE]).expect(0, &["ready"]);
    command(&of_none, BY_FLAG, &[("PYROTEE__ADMIN", &here)]).expect(0, &["ready"]);
    command(&of_here, CHECK, &[("PYROTEE__ADMIN", &none), FILE]).expect(1, &[&none]);
    command("", CHECK, &[("PYROTEE__ADMIN", &here)]).expect(0, &["ready"]);
}

#[test]
fn every_command_finds_the_relay_and_asks_all_interfaces_at_loopback() {
    let (relay, _upstream) = relay();
    let port = relay.admin().port();
    for address in [format!(":{port}"), format!("0.0.0.0:{port}")] {
        let file = format!("admin: \"{address}\"\n");
        for (args, word) in [
            (CHECK, "ready"),
            (&["status", "--json"], "\"version\""),
            (&["reload"], "nothing changed"),
        ] {
            command(&file, args, &[FILE]).expect(0, &[word]);
        }
        // This relay has neither, and says so.
        for args in [&["spool", "stats", "--admin"][..], &["dead-letters", "ls"]] {
            command(&file, args, &[FILE]).expect(1, &["404"]);
        }
    }
}

#[test]
fn secrets_and_faults_of_the_configuration_do_not_matter() {
    let (relay, _upstream) = relay();
    let file = format!(
        "admin: {}\nadmin-token: ${{file:/none/token}}\nupstrem: {{}}\nremote-write:\n  targets: {{ a: {{ auth-token: \"${{NONE}}\" }} }}\n",
        relay.admin()
    );
    let done = command(&file, CHECK, &[FILE]).expect(0, &["ready"]);
    assert_eq!(done.err, "");
    command(&file, BY_FLAG, &[]).expect(0, &["ready"]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_an_error_if_the_command_line_names_it() {
    command("", &["status", "--config", "none.yaml"], &[])
        .expect(2, &["none.yaml", "cannot be read"]);
    command("admin: x", BY_FLAG, &[]).expect(2, &["pyrotee.yaml:1: admin"]);
    let chosen = ["chooses the port", "--admin"];
    command("admin: \":0\"", BY_FLAG, &[]).expect(2, &chosen);
    command("admin: \":0\"", CHECK, &[FILE]).expect(2, &chosen);
}

#[test]
fn a_configuration_of_the_environment_that_cannot_be_read_is_a_warning() {
    let args = [CHECK, &["--timeout", "100ms"]].concat();
    for (file, variable) in [("", ("PYROTEE_CONFIG", "none.yaml")), ("admin: x", FILE)] {
        let done = command(file, &args, &[variable]);
        let warning = done.err.lines().next().unwrap();
        assert!(warning.starts_with("warning: "), "{}", done.all());
        assert!(warning.ends_with("asking 127.0.0.1:4041 instead (--admin names another address)"));
    }
}
