//! Tests of a listener whose thread panics.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::Metrics;
use crate::fixture::Rig;

/// Metrics whose upkeep panics once.
#[derive(Debug, Default)]
struct Brittle(AtomicUsize);

impl Metrics for Brittle {
    fn render(&self) -> String {
        "up 1\n".to_owned()
    }

    fn upkeep(&self) {
        assert!(self.0.fetch_add(1, SeqCst) > 0, "the exporter broke");
    }
}

fn site() -> Site {
    let mut site = Rig::new(Vec::new()).into_site();
    Arc::get_mut(&mut site.pages).unwrap().metrics = Box::new(Brittle::default());
    site
}

#[test]
fn a_listener_serves_again_after_a_panic() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let supervisor = Supervisor::default();
    let admin = Admin::start(listener, site(), supervisor.clone()).unwrap();
    while supervisor.panics(Part::Admin) == 0 {
        thread::yield_now();
    }
    // The connection waits in the backlog of the socket until the thread serves again.
    let mut client = TcpStream::connect(address).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";
    client.write_all(request).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.ends_with("up 1\n"), "{response}");
    admin.stop();
    assert_eq!(supervisor.panics(Part::Admin), 1);
}
