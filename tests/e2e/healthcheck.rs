//! `pyrotee healthcheck`: readiness and liveness as an exit code, for callers that cannot send HTTP.

use std::net::TcpListener;

use crate::support::{
    Answer, Request, Rig, SOON, Upstream,
    command::{Done, pyrotee},
    eventually,
    ports::Refusing,
};

fn healthcheck(admin: &str, more: &[&str]) -> Done {
    pyrotee(&[&["healthcheck", "--admin", admin], more].concat())
}

/// Exit code, stdout, stderr.
fn read(done: &Done) -> (Option<i32>, &str, &str) {
    (done.code, &done.out, &done.err)
}

#[test]
fn a_running_relay_is_ready_and_alive() {
    let rig = Rig::new();
    let admin = rig.relay.admin().to_string();
    let ready = healthcheck(&admin, &[]);
    assert_eq!(read(&ready), (Some(0), "ready\n", ""));
    let alive = healthcheck(&admin, &["--live"]);
    assert_eq!(read(&alive), (Some(0), "healthy\n", ""));
}

#[test]
fn a_stopping_relay_is_alive_but_not_ready() {
    let rig = Rig::with(
        Upstream::answering(Answer::never()),
        Upstream::ok(),
        &[],
        |builder| builder,
    );
    let mut client = rig.client();
    client.send(&Request::profile("app", b"profile").bytes());
    rig.upstream.wait_for(1, SOON);
    rig.relay.sigterm();
    let admin = rig.relay.admin().to_string();
    eventually(SOON, "not ready", || {
        healthcheck(&admin, &[]).code == Some(1)
    });
    let stopping = healthcheck(&admin, &[]);
    let (code, out, err) = read(&stopping);
    assert_eq!((code, out), (Some(1), ""));
    assert_eq!(err, "error: not ready: starting or stopping\n");
    assert_eq!(healthcheck(&admin, &["--live"]).code, Some(0));
}

#[test]
fn nobody_and_somebody_else_are_no_relay() {
    let nobody = Refusing::new();
    let asked = healthcheck(&nobody.url(), &[]);
    let (code, _, err) = read(&asked);
    assert_eq!(code, Some(1));
    assert!(err.contains("refused") && err.contains("--admin"), "{err}");

    let other = Upstream::answering(Answer::status(404, b"no"));
    let asked = healthcheck(&other.url(), &["--live"]);
    let (code, _, err) = read(&asked);
    assert_eq!(code, Some(1));
    assert!(err.contains("404") && err.contains("--admin"), "{err}");
}

#[test]
fn one_that_hangs_is_given_up_in_time() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = hanging.local_addr().unwrap().to_string();
    let asked = healthcheck(&admin, &["--timeout", "200ms"]);
    let (code, _, err) = read(&asked);
    assert_eq!(code, Some(1));
    assert!(err.contains("within 200ms"), "{err}");
}
