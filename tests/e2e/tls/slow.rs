//! Handshakes that stand still.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustls::ALL_VERSIONS;

use super::{
    handshakes::OLD_HELLO,
    listeners::{Listener, Listeners},
};
use crate::support::{SOON, TlsClient, tls};

/// The time that a client has for its handshake.
const DEADLINE: Duration = Duration::from_secs(10);

/// Connections that never finish a handshake: they say nothing, or half of it, or a byte now and then.
struct Slow(Vec<TcpStream>);

impl Slow {
    fn connect(it: &Listeners, listener: Listener, each: usize) -> Self {
        let connect = |nth: usize| {
            let mut socket = TcpStream::connect(it.address(listener)).expect("the relay accepts");
            let said = [&OLD_HELLO[..0], &OLD_HELLO[..20], &OLD_HELLO[..1]][nth % 3];
            socket.write_all(said).expect("the relay reads");
            socket
        };
        Self((0..3 * each).map(connect).collect())
    }

    /// Sends a further byte on each third connection.
    fn dribble(&mut self, nth: usize) {
        for socket in self.0.iter_mut().skip(2).step_by(3) {
            // The relay may have closed.
            drop(socket.write_all(&OLD_HELLO[nth..=nth]));
        }
    }

    /// Whether the relay has closed all of them.
    fn are_closed(&mut self) -> bool {
        self.0.iter_mut().all(|socket| {
            socket.set_read_timeout(Some(SOON)).expect("a socket");
            let read = socket.read(&mut [0]);
            !matches!(read, Ok(1..)) && !read.is_err_and(|error| is_timeout(&error))
        })
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

#[test]
fn handshakes_that_stand_still_hold_up_nobody_and_end_after_ten_seconds() {
    let it = Listeners::new("", "");
    let client = TlsClient::new(tls::client(&it.files.issuer().pem(), None, ALL_VERSIONS));
    let started = Instant::now();
    let mut on_data = Slow::connect(&it, Listener::Data, 40);
    // More than the admin listener has places for: the oldest make room.
    let mut on_admin = Slow::connect(&it, Listener::Admin, 50);
    for round in 1..20 {
        on_data.dribble(round);
        on_admin.dribble(round);
        for listener in Listener::ALL {
            let asked = Instant::now();
            let response = client.send(it.address(listener), &listener.request());
            assert_eq!(response.unwrap().status(), 200);
            let took = asked.elapsed();
            assert!(took < DEADLINE / 2, "{listener:?} waited for {took:?}");
        }
        thread::sleep(Duration::from_millis(100));
    }
    if started.elapsed() < DEADLINE {
        assert!(it.failures(Listener::Data).is_empty());
    }
    it.wait_failures(
        Listener::Data,
        &Default::default(),
        "timeout",
        120.0,
        "slow",
    );
    assert!(on_data.are_closed() && on_admin.are_closed());
    for listener in Listener::ALL {
        assert_eq!(it.lines(listener, "timeout"), 1, "{listener:?}");
    }
}
