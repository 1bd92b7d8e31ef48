//! Attacks on the admin listener. Meanwhile clients of the relay are served, and probes are answered.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::http1::connections;
use crate::support::{Client, Request};
use crate::{Attack, under_admin};

/// Most time for one probe. A kubelet waits for 1 s by default, but the machine of this test may be busy; a probe that
/// had to wait for the place of an idle connection would take 10 s or more.
const PROBE: Duration = Duration::from_secs(5);

#[test]
fn idle_connections() {
    under_admin(&Attack {
        name: "admin: idle",
        attackers: 1,
        requests: 0,
        open: 0,
        attacker: |address, end| {
            let _open = connections(500, address, b"", None);
            probe_until(address, end);
        },
    });
}

#[test]
fn heads_that_trickle() {
    under_admin(&Attack {
        name: "admin: trickling heads",
        attackers: 1,
        requests: 0,
        open: 0,
        attacker: |address, end| {
            let mut open = connections(200, address, b"GET /metrics HTTP/1.1\r\n", None);
            while Instant::now() < end {
                for socket in &mut open {
                    let _gone = socket.write_all(b"x");
                }
                probe_until(address, Instant::now() + Duration::from_millis(200));
            }
        },
    });
}

#[test]
fn responses_that_are_not_read() {
    under_admin(&Attack {
        name: "admin: unread",
        attackers: 1,
        requests: 0,
        open: 0,
        attacker: |address, end| {
            let requests = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".repeat(50);
            let _open = connections(200, address, &requests, Some(4096));
            probe_until(address, end);
        },
    });
}

/// Probes `/-/healthy` as a kubelet does until `end`, over a new connection each time.
fn probe_until(address: SocketAddr, end: Instant) {
    while Instant::now() < end {
        let started = Instant::now();
        let response = Client::connect(address).exchange(&Request::get("/-/healthy"));
        assert_eq!(response.status(), 200);
        assert!(started.elapsed() < PROBE, "{:?}", started.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
}
