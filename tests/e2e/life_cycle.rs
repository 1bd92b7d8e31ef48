//! The life of a relay: start, readiness, signals and stop.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    load::Sink,
    support::{
        Answer, Client, Relay, Request, Rig, SOON, Upstream,
        client::{self, noise},
        eventually,
    },
};

fn probe(relay: &Relay, path: &str) -> u16 {
    client::send(relay.admin(), &Request::get(path)).status()
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, SOON).is_err()
}

/// Lines of the log that have `field`.
fn lines_with(relay: &Relay, field: &str) -> Vec<Value> {
    let mut lines = relay.logs();
    lines.retain(|line| line.get(field).is_some());
    lines
}

#[test]
fn a_stopping_relay_finishes_what_it_has_begun_and_takes_nothing_new() {
    let mut rig = Rig::new();
    let mut idle = rig.client();
    assert_eq!(idle.exchange(&Request::get("/")).status(), 200);
    assert_eq!(probe(&rig.relay, "/-/ready"), 200);
    let body = noise(300_000);
    let request = Request::profile("app", &body);
    let mut client = rig.client();
    client.send(&request.head()).send(&body[..100_000]);
    rig.upstream
        .wait_until(SOON, "the head", |requests| requests.len() == 2);

    rig.relay.sigterm();
    eventually(SOON, "not ready", || probe(&rig.relay, "/-/ready") == 503);
    eventually(SOON, "new connections refused", || {
        refuses(rig.relay.addr())
    });
    assert_eq!(probe(&rig.relay, "/-/healthy"), 200);
    assert!(idle.wire().closed(), "an idle connection is not waited for");

    client.send(&body[100_000..]);
    let answer = client.receive();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.get("connection").as_deref(), Some("close"));
    assert!(client.wire().closed());
    assert!(rig.target.only().body.data == body, "teed whole");
    let status = rig.relay.wait(SOON).expect("nothing is left to wait for");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_answer_that_comes_while_the_relay_stops_is_the_last_of_its_connection() {
    let upstream = Upstream::answering(Answer::ok().after(Duration::from_millis(500)));
    let mut rig = Rig::with(upstream, Upstream::ok(), &[], |builder| builder);
    let mut client = rig.client();
    client.send(&Request::profile("app", b"profile").bytes());
    rig.upstream.wait_for(1, SOON);
    rig.relay.sigterm();
    let answer = client.receive();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.get("connection").as_deref(), Some("close"));
    assert!(client.wire().closed());
    assert_eq!(rig.relay.wait(SOON).unwrap().code(), Some(0));
}

#[test]
fn a_queue_is_drained_to_a_slow_target_before_the_end() {
    let target = Upstream::answering(Answer::ok().after(Duration::from_millis(200)));
    let mut rig = Rig::with(Upstream::ok(), target, &["queue-workers: 1"], |b| b);
    let mut client = rig.client();
    for index in 0..6 {
        let request = Request::profile(&format!("app{index}"), b"profile");
        assert_eq!(client.exchange(&request).status(), 200);
    }
    assert!(rig.relay.ledger("central").pending.profiles > 0);
    rig.relay.sigterm();
    let status = rig.relay.wait(SOON).expect("six times 200 ms");
    assert_eq!(status.code(), Some(0));
    assert_eq!(rig.target.requests().len(), 6);
    let stopped = lines_with(&rig.relay, "sent");
    assert!(
        stopped
            .iter()
            .any(|line| line["target"] == "central" && line["sent"] == 6),
        "{stopped:?}"
    );
    assert!(lines_with(&rig.relay, "lost").is_empty());
}

#[test]
fn what_a_hanging_target_leaves_is_told_as_lost_when_the_grace_is_over() {
    let mut rig = Rig::with(
        Upstream::ok(),
        Upstream::answering(Answer::never()),
        &["queue-workers: 2", "timeout: 5m"],
        |builder| builder.yaml("shutdown: { grace: 1s }"),
    );
    for _ in 0..5 {
        let answer = rig.send(&Request::profile("app", b"profile"));
        assert_eq!(answer.status(), 200);
    }
    rig.target.wait_for(2, SOON);
    let started = Instant::now();
    rig.relay.sigterm();
    let status = rig.relay.wait(SOON).expect("the grace is over");
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(status.code(), Some(0));
    let lost = lines_with(&rig.relay, "lost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0]["target"], "central");
    assert_eq!(lost[0]["lost"], 5);
    assert_eq!(lost[0]["sent"], 0);
    assert_eq!(lost[0]["level"], "WARN");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let mut rig = Rig::with(
            Upstream::ok(),
            Upstream::answering(Answer::never()),
            &["timeout: 5m"],
            |builder| builder.yaml("shutdown: { grace: 5m }"),
        );
        rig.send(&Request::profile("app", b"profile"));
        rig.target.wait_for(1, SOON);
        rig.relay.sigterm();
        eventually(SOON, "not ready", || probe(&rig.relay, "/-/ready") == 503);
        rig.relay.signal(second);
        let status = rig.relay.wait(SOON).expect("the end, far before the grace");
        assert_eq!(status.code(), Some(0));
        assert_eq!(lines_with(&rig.relay, "lost").len(), 1);
    }
}

#[test]
fn the_first_signal_may_be_an_interrupt_or_a_quit() {
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT")] {
        let mut rig = Rig::with(
            Upstream::ok(),
            Upstream::answering(Answer::ok().after(Duration::from_millis(300))),
            &[],
            |builder| builder,
        );
        rig.send(&Request::profile("app", b"profile"));
        rig.relay.signal(signal);
        assert_eq!(rig.relay.wait(SOON).unwrap().code(), Some(0));
        assert_eq!(lines_with(&rig.relay, "signal")[0]["signal"], name);
        assert_eq!(rig.target.arrivals().len(), 1, "it was drained");
    }
}

#[test]
fn signals_without_a_meaning_are_logged_and_ignored() {
    let rig = Rig::new();
    let ignored = [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")];
    for (nth, (signal, name)) in ignored.into_iter().enumerate() {
        rig.relay.signal(signal);
        eventually(SOON, name, || {
            let lines = lines_with(&rig.relay, "signal");
            lines.get(nth).is_some_and(|line| line["signal"] == name)
        });
    }
    assert_eq!(probe(&rig.relay, "/-/ready"), 200);
    assert_eq!(rig.send(&Request::profile("app", b"profile")).status(), 200);
    rig.target.only();
}

#[test]
fn an_upstream_that_hangs_does_not_hold_the_end_up_beyond_the_grace() {
    let mut rig = Rig::with(
        Upstream::answering(Answer::never()),
        Upstream::ok(),
        &[],
        |builder| builder.yaml("shutdown: { grace: 500ms }"),
    );
    let mut client = rig.client();
    client.send(&Request::profile("app", b"profile").bytes());
    rig.upstream.wait_for(1, SOON);
    rig.target.wait_for(1, SOON);
    rig.relay.sigterm();
    let status = rig.relay.wait(SOON).expect("the grace is over");
    assert_eq!(status.code(), Some(0));
    assert!(client.try_receive("POST").is_none());
}

#[test]
fn a_port_in_use_is_an_exit_that_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let upstream = Upstream::ok();
    for (variable, key) in [("PYROTEE__LISTEN", "listen"), ("PYROTEE__ADMIN", "admin")] {
        let ended = Relay::builder()
            .upstream(&upstream)
            .env(variable, &address)
            .refused();
        assert_eq!(ended.status.code(), Some(1), "{key}: {}", ended.output);
        assert!(ended.output.contains(&address), "{key}: {}", ended.output);
        assert!(ended.output.contains(key), "{key}: {}", ended.output);
        assert!(!ended.output.contains("panicked"), "{}", ended.output);
    }
}

#[test]
fn a_relay_that_has_all_hands_full_is_healthy_and_ready() {
    let upstream = Upstream::answering(Answer::never());
    let target = Sink::gated();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &target.url(), &[])
        .spawn();
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = Client::connect(relay.addr());
            client.send(&Request::profile("app", b"profile").bytes());
            client
        })
        .collect();
    upstream.wait_for(clients.len(), SOON);
    assert_eq!(probe(&relay, "/-/healthy"), 200);
    assert_eq!(probe(&relay, "/-/ready"), 200);
    assert_eq!(relay.ledger("central").accepted.profiles, 200);
}

#[test]
fn a_relay_is_ready_whatever_its_upstream_and_targets_are_doing() {
    let gone = crate::support::ports::Refusing::new();
    let relay = Relay::builder()
        .upstream_address(&gone.url())
        .target_address("central", &gone.url(), &[])
        .spawn();
    assert_eq!(relay.send(&Request::profile("app", b"x")).status(), 502);
    assert_eq!(probe(&relay, "/-/ready"), 200);
    assert_eq!(probe(&relay, "/-/healthy"), 200);
}

#[test]
fn a_sink_ends_well_when_it_is_told_to() {
    let mut sink = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
        .args(["sink", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary was built with this test");
    let mut line = String::new();
    let mut out = BufReader::new(sink.stdout.take().expect("it is piped"));
    out.read_line(&mut line).expect("it says where it listens");
    kill_process(Pid::from_child(&sink), Signal::TERM).expect("it runs");
    assert_eq!(sink.wait().expect("the child is ours").code(), Some(0));
}
