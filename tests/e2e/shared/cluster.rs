//! A cluster of three servers that keep three copies, as `docs/scaling.md` recommends.

use std::time::Duration;

use super::{
    is_handed_over, named, open, send, series, stop, wait, wait_for_each, wait_until_connected,
};
use crate::support::{
    Builder, Ledger, Relay, SOON,
    command::{Done, pyrotee},
    eventually,
    nats::Cluster,
    poll,
    ports::Refusing,
};

const STREAM: &str = "pyrotee-central";

/// Longest time until other servers lead a stream and its consumers whose leader was killed, and until a server that
/// returns has caught up. It takes seconds; on a busy machine several elections follow each other.
const ELECTED: Duration = Duration::from_secs(100);

fn builder(cluster: &Cluster, port: &Refusing) -> Builder {
    let servers = cluster.urls();
    Relay::builder()
        .yaml(&format!(
            "shared: {{ servers: [{servers}], replicas: 3, max-bytes: 64MiB, after: 1s }}"
        ))
        .yaml("reload: { interval: 0 }")
        .remote_write("disable-local-writes: true")
        .target_address("central", &port.url(), &[])
}

fn check(relay: &Relay) -> Done {
    let config = relay.home().join("pyrotee.yaml").display().to_string();
    pyrotee(&["shared", "check", "--config", &config])
}

/// Waits until the check finds nothing but the size above which profiles stay in memory.
fn all_is_well(relay: &Relay) {
    eventually(ELECTED, "a check that finds nothing", || {
        let done = check(relay);
        let mut lines = done.out.lines();
        let is_well = lines.all(|it| it.starts_with("ok ") || it.contains("max_payload"));
        is_well && done.code == Some(0)
    });
}

/// Sends profiles, and waits until those that were not tried are in the stream.
fn hand_over(relay: &Relay, names: &[String]) -> Ledger {
    send(relay, names);
    wait(relay, ELECTED, "all are handed over", |it| {
        is_handed_over(relay, it)
    })
}

#[test]
fn a_cluster_of_three_keeps_taking_profiles_when_the_server_is_killed_that_leads_the_stream() {
    let (mut cluster, port) = (Cluster::start(), Refusing::new());
    let first = builder(&cluster, &port).spawn();
    wait_until_connected(&first);
    eventually(ELECTED, "a usable stream", || {
        series(&first, "usable") == 1.0
    });
    assert_eq!(cluster.stream(STREAM)["config"]["num_replicas"], 3);
    all_is_well(&first);
    let mut names = named("before", 40);
    hand_over(&first, &names);

    // The server to which the relay is connected leads the stream, too.
    let server = first.status()["shared"]["server"].clone();
    let victim = cluster.at(server.as_str().expect("it is connected"));
    cluster.lead(STREAM, victim);
    cluster.servers[victim].kill();
    let during = named("during", 40);
    let ledger = hand_over(&first, &during);
    names.extend(during);
    assert!(ledger.shared() >= 60, "{ledger:?}");
    wait_until_connected(&first);
    let url = cluster.servers[victim].url();
    let address = url.trim_start_matches("nats://");
    let gone = format!("warning  {address}: the connection is refused");
    let late = format!("warning  stream {STREAM}: the replica on n{victim} is not current");
    let mut last = check(&first);
    let is_told = poll(ELECTED, || {
        last = check(&first);
        let has = |line: &String| last.out.contains(line);
        (has(&gone) && has(&late)).then_some(())
    });
    assert!(is_told.is_some(), "{gone}, {late}: {}", last.all());
    last.expect(0, &[]);

    stop(first);
    assert_eq!(cluster.stored(STREAM), 80);
    let target = open(&port);
    let second = builder(&cluster, &port).spawn();
    wait_for_each(&target, &names, ELECTED);
    let ledger = wait(&second, ELECTED, "nothing pending", |it| {
        it.pending.profiles == 0
    });
    assert_eq!(
        (ledger.sent.profiles, ledger.lost().profiles),
        (80, 0),
        "{ledger:?}"
    );
    assert_eq!(ledger.shared(), -80, "{ledger:?}");
    eventually(ELECTED, "an empty stream", || cluster.stored(STREAM) == 0);
    cluster.servers[victim].restart();
    all_is_well(&second);
}

#[test]
fn a_stream_of_three_copies_is_not_created_with_fewer_before_there_are_three_servers() {
    let (mut cluster, port) = (Cluster::of_two(), Refusing::new());
    let relay = builder(&cluster, &port).spawn();
    let names = named("early", 20);
    send(&relay, &names);
    eventually(2 * SOON, "the reason why there is no stream", || {
        let status = relay.status()["shared"]["targets"].to_string();
        status.contains("unusable") && status.contains("servers of the cluster that are down")
    });
    let ledger = relay.ledger("central");
    assert_eq!((ledger.pending.profiles, ledger.shared()), (20, 0));
    cluster.servers[2].restart();
    wait(&relay, ELECTED, "all are handed over", |it| {
        it.shared() > 0 && is_handed_over(&relay, it)
    });
    assert_eq!(cluster.stream(STREAM)["config"]["num_replicas"], 3);
}
