//! The notifications that a relay sends to the service manager that started it.

use std::{
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Builder, Relay, SOON, Upstream, eventually};

/// A service manager that receives the notifications of one relay.
struct Manager {
    socket: UnixDatagram,
    home: TempDir,
}

impl Manager {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(home.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, home }
    }

    /// The configuration of a relay that this manager starts.
    fn starts(&self, relay: Builder) -> Builder {
        let address = self.home.path().join("notify");
        relay.env("NOTIFY_SOCKET", address.to_str().unwrap())
    }

    /// The lines of the next notification.
    fn next(&self) -> Vec<String> {
        let mut lines = Vec::new();
        eventually(SOON, "a notification", || {
            let mut buffer = [0; 1024];
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let text = std::str::from_utf8(&buffer[..length]).unwrap();
                    lines = text.lines().map(str::to_owned).collect();
                    true
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(error) => panic!("{error}"),
            }
        });
        lines
    }

    fn expect(&self, lines: &[&str]) {
        assert_eq!(self.next(), lines);
    }

    /// Expects the two notifications of a reload.
    fn expect_reload(&self, status: &str) {
        let reloading = self.next();
        let [first, time] = &*reloading else {
            panic!("{reloading:?}")
        };
        assert_eq!(first, "RELOADING=1");
        assert!(time.starts_with("MONOTONIC_USEC="), "{time}");
        self.expect(&["READY=1", &format!("STATUS=serving, {status}")]);
    }
}

const REFUSED: &str = "1 target; configuration refused, configuration in force kept";

fn on_request() -> Builder {
    Relay::builder().yaml("reload: { interval: 0 }\nshutdown: { grace: 90m }")
}

#[test]
fn a_service_manager_is_told_of_start_reload_and_stop_in_their_order() {
    let (manager, target) = (Manager::new(), Upstream::ok());
    let one = |base: Builder| base.target("central", &target, &[]);
    let two = one(on_request()).target("other", &target, &[]);
    let faulty = on_request().target("central", &target, &["timeout: soon"]);
    let mut relay = manager.starts(one(on_request())).spawn();
    manager.expect(&["READY=1", "STATUS=serving, 1 target"]);

    relay.reload();
    manager.expect_reload("1 target");
    relay.rewrite(&faulty);
    relay.refused_reload();
    manager.expect_reload(REFUSED);
    relay.rewrite(&two);
    relay.signal(Signal::HUP);
    manager.expect_reload("2 targets");

    relay.sigterm();
    manager.expect(&[
        "STOPPING=1",
        // shutdown.grace, and the time to save what is in memory.
        "EXTEND_TIMEOUT_USEC=5403000000",
        "STATUS=stopping: delivering the queued profiles",
    ]);
    assert!(relay.wait(SOON).is_some_and(|status| status.success()));
}

#[test]
fn a_service_manager_is_told_once_of_a_reload_that_nobody_asked_for() {
    let (manager, target) = (Manager::new(), Upstream::ok());
    let by_itself = || Relay::builder().yaml("reload: { interval: 50ms }");
    let relay = manager.starts(by_itself().target("central", &target, &[]));
    let relay = relay.spawn();
    manager.expect(&["READY=1", "STATUS=serving, 1 target"]);
    // The relay looks at the faulty file again and again, and refuses it once.
    relay.rewrite(&by_itself().target("central", &target, &["timeout: soon"]));
    manager.expect_reload(REFUSED);
    let looks = Instant::now() + Duration::from_millis(200);
    eventually(SOON, "further looks", || Instant::now() > looks);
    relay.rewrite(&by_itself().target("central", &target, &["timeout: 7s"]));
    manager.expect_reload("1 target");
}

#[test]
fn a_watchdog_gets_beats_while_the_relay_serves() {
    let manager = Manager::new();
    let upstream = Upstream::ok();
    let relay = manager.starts(Relay::builder().upstream(&upstream));
    let _relay = relay.env("WATCHDOG_USEC", "100000").spawn();
    let received: Vec<_> = (0..5).map(|_| manager.next()).collect();
    let beats = received.iter().filter(|lines| **lines == ["WATCHDOG=1"]);
    assert_eq!(beats.count(), 4, "{received:?}");
    assert!(
        received.contains(&vec![
            "READY=1".to_owned(),
            "STATUS=serving, 0 targets".to_owned()
        ]),
        "{received:?}"
    );
}

#[test]
fn a_service_manager_that_is_gone_does_not_stop_the_relay() {
    let upstream = Upstream::ok();
    let relay = Relay::builder().upstream(&upstream);
    let relay = relay.env("NOTIFY_SOCKET", "/nonexistent/notify").spawn();
    relay.wait_until_ready();
    assert!(relay.output().contains("service manager unreachable"));
}
