use std::fs;

use tempfile::TempDir;

use super::{numbered, relay_only, send, stop, wait_until_connected};
use crate::support::{
    Builder, Count, Relay, SOON,
    command::{Done, pyrotee},
    eventually,
    nats::{Login, Nats},
    ports::Refusing,
};

fn builder(nats: &Nats, port: &Refusing) -> Builder {
    relay_only(nats, "after: 1s").target_address("central", &port.url(), &[])
}

/// A relay beside a stream with ten profiles, which its predecessor left.
fn with_backlog(nats: &Nats, port: &Refusing) -> Relay {
    let first = builder(nats, port).spawn();
    wait_until_connected(&first);
    send(&first, &numbered(10));
    stop(first);
    assert_eq!(nats.stored(), 10);
    let relay = builder(nats, port).spawn();
    wait_until_connected(&relay);
    relay
}

fn config(relay: &Relay) -> String {
    relay.home().join("pyrotee.yaml").display().to_string()
}

fn shared(args: &[&str]) -> Done {
    pyrotee(&[&["shared"], args].concat())
}

/// A configuration file without a relay.
fn file(text: &str) -> (TempDir, String) {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let path = home.path().join("pyrotee.yaml");
    fs::write(&path, text).expect("a file can be written");
    let path = path.display().to_string();
    (home, path)
}

fn configuration(server: &str, more: &str) -> (TempDir, String) {
    file(&format!(
        "shared: {{ servers: [\"{server}\"], replicas: 1, max-bytes: 64MiB, {more} }}\nremote-write:\n  \
         enabled: true\n  disable-local-writes: true\n  targets:\n    central: {{ address: \"http://127.0.0.1:1\" }}\n"
    ))
}

#[test]
fn a_list_shows_each_stream_with_what_waits_in_it() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = with_backlog(&nats, &port);
    let listed = shared(&["list", "--config", &config(&relay)]);
    let listed = listed.expect(0, &["central", &nats.only_stream()]);
    assert!(listed.out.contains("10"), "{}", listed.out);
    drop(relay);
    // Another prefix has no streams.
    let (_home, other) = configuration(&nats.url(), "prefix: other");
    let none = shared(&["list", "--config", &other]).expect(0, &[]);
    assert!(!none.out.contains(&nats.only_stream()), "{}", none.out);
}

#[test]
fn a_check_tells_what_is_well_and_what_is_not_with_the_remedy() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = with_backlog(&nats, &port);
    shared(&["check", "--config", &config(&relay)]).expect(0, &["2.15", "central"]);

    let gone = Refusing::new();
    let (_home, path) = configuration(&format!("nats://{gone}"), "");
    shared(&["check", "--config", &path]).expect(1, &["refused"]);

    let refusing = Nats::with("authorization { token: a }", Login::Token("a"));
    let (_home, path) = configuration(&refusing.url(), "auth: { token: b }");
    let refused = shared(&["check", "--config", &path]);
    assert_eq!(refused.code, Some(1), "{}", refused.all());
    assert!(
        refused.all().to_lowercase().contains("authoriz"),
        "{}",
        refused.all()
    );

    let old = Nats::old();
    let (_home, path) = configuration(&old.url(), "");
    let remedy = "upgrade NATS to 2.10 or newer, or create";
    shared(&["check", "--config", &path]).expect(1, &["2.9.", remedy]);
}

#[test]
fn a_check_counts_all_copies_against_the_limit_of_the_account() {
    let account =
        "accounts: { A: { jetstream: { max_file: 150MB }, users: [ { user: u, password: p } ] } }";
    let nats = Nats::with(account, Login::User("u", "p"));
    let login = "auth: { user: u, password: p }";
    let check = |block: String| {
        let (_home, path) = file(&block);
        shared(&["check", "--config", &path]).expect(0, &[]).out
    };
    let of = |replicas| {
        format!(
            "shared: {{ servers: [\"{}\"], replicas: {replicas}, max-bytes: 64MiB, {login} }}\nremote-write:\n  \
             enabled: true\n  disable-local-writes: true\n  targets:\n    central: {{ address: \"http://127.0.0.1:1\" }}\n",
            nats.url()
        )
    };
    let warning = "the account may store";
    let one = check(of(1));
    assert!(!one.contains(warning), "{one}");
    let three = check(of(3));
    assert!(three.contains(warning), "{three}");
}

#[test]
fn a_check_finds_a_stream_that_somebody_else_changed() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = with_backlog(&nats, &port);
    let stream = nats.only_stream();
    let mut changed = nats.stream(&stream)["config"].clone();
    changed["discard"] = "old".into();
    let answer = nats.api(&format!("STREAM.UPDATE.{stream}"), &changed);
    assert!(answer["error"].is_null(), "{answer}");
    let found = shared(&["check", "--config", &config(&relay)]);
    assert!(found.all().contains("discard"), "{}", found.all());
    assert_eq!(
        nats.stream(&stream)["config"]["discard"],
        "old",
        "nobody alters it back"
    );
}

#[test]
fn a_purge_goes_through_the_running_relay_and_is_counted() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = with_backlog(&nats, &port);
    let admin = relay.admin().to_string();
    shared(&["purge", "nobody", "--admin", &admin]).expect(1, &["nobody"]);
    assert_eq!(nats.stored(), 10);
    // A profile may be in flight at any moment.
    eventually(SOON, "all are purged", || {
        shared(&["purge", "central", "--admin", &admin]).expect(0, &["central"]);
        relay.ledger("central").dropped("admin").profiles == 10
    });
    assert_eq!(nats.stored(), 0);
    assert_eq!(relay.ledger("central").pending, Count::default());
}

#[test]
fn a_stream_without_a_target_can_be_deleted_by_its_name_only() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = with_backlog(&nats, &port);
    let (stream, path) = (nats.only_stream(), config(&relay));
    drop(relay);
    let (_home, path_of_others) = configuration(&nats.url(), "prefix: other");
    let foreign = shared(&["delete", &stream, "--yes", "--config", &path_of_others]);
    assert_ne!(foreign.code, Some(0), "another prefix: {}", foreign.all());
    let unknown = shared(&["delete", "no-such-stream", "--yes", "--config", &path]);
    assert_ne!(unknown.code, Some(0), "{}", unknown.all());
    assert_eq!(nats.stored(), 10);
    let (_home, without) = file(&format!(
        "shared: {{ servers: [\"{}\"], replicas: 1 }}\nremote-write:\n  enabled: true\n  \
         disable-local-writes: true\n  targets:\n    kept: {{ address: \"http://127.0.0.1:1\" }}\n",
        nats.url()
    ));
    let delete = ["delete", &stream, "--config", &without];
    shared(&delete).expect(2, &["10 waiting", "--yes"]);
    assert_eq!(nats.stored(), 10);
    shared(&[&delete[..], &["--yes"]].concat()).expect(0, &[&stream]);
    assert_eq!(nats.streams(), Vec::<String>::new());
}

#[test]
fn without_the_block_the_commands_say_what_is_missing() {
    let (_home, path) = file("upstream: { address: \"http://127.0.0.1:1\" }\n");
    for command in ["list", "check"] {
        let done = shared(&[command, "--config", &path]);
        assert_ne!(done.code, Some(0), "{}", done.all());
        assert!(done.all().contains("shared"), "{}", done.all());
    }
}

#[test]
fn the_status_shows_connection_and_backlog() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = with_backlog(&nats, &port);
    let admin = relay.admin().to_string();
    eventually(3 * SOON, "the backlog in the status", || {
        let status = relay.status()["shared"].to_string();
        ["2.15", "central", &nats.only_stream()]
            .iter()
            .all(|it| status.contains(it))
    });
    let table = pyrotee(&["status", "--admin", &admin]).expect(0, &["central"]);
    assert!(
        table.out.contains("shared") || table.out.contains("nats"),
        "{}",
        table.out
    );
}
