//! Attacks over HTTP/2. Each attacker opens a new connection when the relay has closed the previous one.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::frames::{Frames, INITIAL_WINDOW, MAX_WINDOW, remembered, request};
use crate::pyroscopes::{HANGS, LARGE};
use crate::{Attack, under};

/// Most streams that the relay serves at once on one connection.
const STREAMS: u64 = 100;

/// Pause between two steps of an attack that does not depend on speed.
const STEP: Duration = Duration::from_millis(5);

#[test]
fn heads_that_grow_when_they_are_decoded() {
    under(&Attack {
        name: "HTTP/2: references",
        attackers: 8,
        // Two of these heads use up what a connection may hold in heads.
        requests: 8 * 16,
        open: 30,
        attacker: |address, end| {
            repeat(address, end, &[], |frames| {
                let start = request("POST", HANGS);
                frames.headers(
                    &[start.clone(), remembered("x", &[b'v'; 3_900])].concat(),
                    false,
                );
                for _ in 0..300 {
                    frames.headers(&[start.clone(), vec![0xbe; 60]].concat(), false);
                    frames.drain(Duration::from_millis(1));
                }
            });
        },
    });
}

#[test]
fn heads_of_thousands_of_fields() {
    under(&Attack {
        name: "HTTP/2: fields",
        attackers: 4,
        requests: 4 * 16,
        open: 0,
        attacker: |address, end| {
            repeat(address, end, &[], |frames| {
                let start = request("GET", HANGS);
                frames.headers(&[start.clone(), remembered("x", b"v")].concat(), true);
                for _ in 0..100 {
                    frames.headers(&[start.clone(), vec![0xbe; 7_000]].concat(), true);
                }
                frames.drain(STEP);
            });
        },
    });
}

#[test]
fn responses_that_are_not_read() {
    under(&Attack {
        name: "HTTP/2: unread",
        attackers: 8,
        requests: 8 * STREAMS,
        open: 400,
        attacker: |address, end| {
            let settings = [(INITIAL_WINDOW, MAX_WINDOW)];
            let mut frames = Frames::connect(address, &settings, Some(4096));
            frames.window(MAX_WINDOW - 65_535);
            for _ in 0..200 {
                frames.headers(&request("GET", LARGE), true);
            }
            wait(end);
        },
    });
}

#[test]
fn windows_that_stay_shut() {
    under(&Attack {
        name: "HTTP/2: shut",
        attackers: 8,
        requests: 8 * STREAMS,
        open: 500,
        attacker: |address, end| {
            let mut frames = Frames::connect(address, &[(INITIAL_WINDOW, 0)], None);
            for _ in 0..200 {
                frames.headers(&request("GET", LARGE), true);
            }
            ping_until(&mut frames, end);
        },
    });
}

#[test]
fn uploads_that_stand_still() {
    under(&Attack {
        name: "HTTP/2: stalled uploads",
        attackers: 10,
        requests: 10 * STREAMS,
        open: 600,
        attacker: |address, end| {
            let mut frames = Frames::connect(address, &[], None);
            // The relay's window sizes must arrive before data is sent.
            frames.drain(STEP);
            for number in 0..STREAMS {
                let path = format!("/ingest?name=stalled{number}&from=1&until=2");
                let stream = frames.headers(&request("POST", &path), false);
                frames.data(stream, &[7; 10_000]);
            }
            ping_until(&mut frames, end);
        },
    });
}

#[test]
fn streams_that_are_reset_at_once() {
    under(&Attack {
        name: "HTTP/2: rapid reset",
        attackers: 2,
        requests: 2 * STREAMS,
        open: 0,
        attacker: |address, end| {
            repeat(address, end, &[], |frames| {
                for _ in 0..100 {
                    let stream = frames.headers(&request("GET", HANGS), true);
                    frames.reset(stream);
                }
            });
        },
    });
}

#[test]
fn heads_without_an_end() {
    under(&Attack {
        name: "HTTP/2: continuation",
        attackers: 2,
        requests: 2 * 16,
        open: 0,
        attacker: |address, end| {
            repeat(address, end, &[], |frames| {
                let stream = frames.endless_headers(&request("GET", HANGS));
                while frames.is_open() && Instant::now() < end {
                    frames.continuation(stream, &remembered("x", &[b'v'; 8_000]));
                }
            });
        },
    });
}

#[test]
fn settings_and_pings_without_an_end() {
    under(&Attack {
        name: "HTTP/2: settings",
        attackers: 2,
        requests: 2 * 16,
        open: 0,
        attacker: |address, end| {
            repeat(address, end, &[], |frames| {
                for _ in 0..1_000 {
                    frames.settings();
                    frames.ping();
                }
            });
        },
    });
}

#[test]
fn many_streams_in_turn() {
    under(&Attack {
        name: "HTTP/2: streams in turn",
        attackers: 1,
        requests: STREAMS,
        open: 0,
        attacker: |address, end| {
            repeat(address, end, &[], |frames| {
                for _ in 0..50 {
                    frames.headers(&request("GET", "/ready"), true);
                }
                frames.drain(STEP);
            });
        },
    });
}

/// Repeats the attack until `end`, over a new connection whenever the relay has closed the previous one.
fn repeat(
    address: SocketAddr,
    end: Instant,
    settings: &[(u16, u32)],
    attack: impl Fn(&mut Frames),
) {
    while Instant::now() < end {
        let mut frames = Frames::connect(address, settings, None);
        while frames.is_open() && Instant::now() < end {
            attack(&mut frames);
            frames.drain(Duration::from_millis(1));
        }
    }
}

/// Sends PINGs until `end`, and reads what arrives.
fn ping_until(frames: &mut Frames, end: Instant) {
    while Instant::now() < end {
        frames.drain(STEP);
        frames.ping();
        thread::sleep(STEP);
    }
}

pub(crate) fn wait(end: Instant) {
    thread::sleep(end.saturating_duration_since(Instant::now()));
}
