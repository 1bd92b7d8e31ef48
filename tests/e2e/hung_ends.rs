//! Stops that a hanging disk, or a reader of the log that does not read, would delay.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Client, HangingDisk, Relay, Request, SOON, Upstream, client::noise, eventually, poll,
};

/// Most time that a stop may take beyond `shutdown.grace`, with a margin for a busy machine.
const LIMIT: Duration = Duration::from_secs(4);

/// A relay whose target cannot be reached and whose disk does not finish a sync, with queued profiles.
fn hung(disk: &HangingDisk, grace: &str) -> Relay {
    let url = format!("http://{}", Upstream::ok().stop());
    let upstream = Upstream::ok();
    let builder = Relay::builder()
        .upstream(&upstream)
        .yaml("spool: { dir: \"{home}/spool\" }")
        .yaml(&format!("shutdown: {{ grace: {grace} }}"))
        .target_address("central", &url, &[]);
    let relay = disk.under(builder).spawn();
    disk.hang();
    for number in 0..20 {
        let request = Request::profile(&format!("app{number}"), &noise(1_000));
        assert_eq!(relay.send(&request).status(), 200);
    }
    relay
}

fn logs(relay: &Relay, words: &str) -> bool {
    relay.output().contains(words)
}

#[test]
fn a_sync_that_hangs_holds_the_end_up_for_three_seconds_at_most() {
    for signal in [Signal::TERM, Signal::QUIT] {
        let disk = HangingDisk::new();
        let mut relay = hung(&disk, "1s");
        let begun = Instant::now();
        relay.signal(signal);
        let status = relay.wait(SOON).expect("the end");
        assert_eq!(status.code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(1) + LIMIT);
        eventually(SOON, "what is lost", || {
            logs(&relay, "the disk did not save in time") && logs(&relay, "\"unwritten\":")
        });
    }
}

#[test]
fn a_second_signal_ends_it_at_once_while_the_disk_is_waited_for() {
    let disk = HangingDisk::new();
    let mut relay = hung(&disk, "0s");
    relay.signal(Signal::TERM);
    eventually(SOON, "the grace to be over", || {
        logs(&relay, "shutdown.grace is over")
    });
    let begun = Instant::now();
    relay.signal(Signal::INT);
    assert_eq!(relay.wait(SOON).and_then(|it| it.code()), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2));
    eventually(SOON, "the reason", || logs(&relay, "stopping at once"));
}

#[test]
fn a_second_signal_while_it_drains_does_not_wait_for_a_disk_that_hangs() {
    let disk = HangingDisk::new();
    let mut relay = hung(&disk, "5m");
    relay.signal(Signal::TERM);
    eventually(SOON, "the first", || logs(&relay, "\"stopping\""));
    let begun = Instant::now();
    relay.signal(Signal::TERM);
    assert_eq!(relay.wait(SOON).and_then(|it| it.code()), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_the_end_up() {
    let upstream = Upstream::ok();
    let mut relay = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
        .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--log-level", "trace", "--upstream", &upstream.url()])
        .env("PYROTEE__SHUTDOWN__GRACE", "0s")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built with this test");
    let mut log = BufReader::new(relay.stderr.take().expect("it is piped"));
    let address = loop {
        let mut line = String::new();
        log.read_line(&mut line).expect("it is text");
        assert!(!line.is_empty(), "it has ended");
        if let Some((_, rest)) = line.split_once("listening listener=\"data\" address=") {
            let address = rest.split_whitespace().next().expect("an address");
            break address.parse().expect("an address and a port");
        }
    };
    // More log lines than a pipe holds.
    let mut clients: Vec<_> = (0..2_000).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        client.send(&Request::get("/").bytes());
    }
    kill_process(Pid::from_child(&relay), Signal::TERM).expect("it runs");
    let ended = poll(SOON, || relay.try_wait().expect("the child is ours"));
    assert!(ended.is_some(), "it waits for its log");
    drop(log);
}
