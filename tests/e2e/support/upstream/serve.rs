//! The threads of a stand-in: one accepts, one serves each connection.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::net::sockopt;

use super::{
    Arrival, End, Request, Shared,
    answer::{Answer, Reading, Then},
};
use crate::support::wire::Wire;

/// Longer than any test, so that only the relay closes idle connections.
const IDLE: Duration = Duration::from_secs(60);

/// Time between the FIN of Go's server and the close of its socket (`rstAvoidanceDelay`).
const RESET_AVOIDANCE: Duration = Duration::from_millis(500);

pub(super) fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let number = {
                let mut state = shared.lock();
                let number = state.opened;
                let handle = stream.try_clone().expect("a socket can be shared");
                state.connections.insert(number, handle);
                state.opened += 1;
                number
            };
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut wire = Wire::new(stream, IDLE);
                serve(&mut wire, number, &shared);
                // The socket is closed only when both handles are dropped. Unread bytes then cause a reset.
                shared.lock().connections.remove(&number);
            });
        }
    })
}

fn serve(wire: &mut Wire, connection: usize, shared: &Shared) {
    for nth in 0.. {
        let Ok(Some(head)) = wire.head() else { break };
        let framing = head.request_framing();
        let expects = head.has("expect");
        let (index, answer) = {
            let mut state = shared.lock();
            let index = state.requests.len();
            let answer = (shared.script)(&Arrival {
                head: &head,
                index,
                connection,
                nth,
            });
            let (body, end, at) = (Default::default(), End::Open, Instant::now());
            state.requests.push(Request {
                head,
                body,
                end,
                connection,
                at,
            });
            (index, answer)
        };
        shared.changed.notify_all();
        if let Some((bytes, pause)) = answer.pace {
            wire.pace(bytes, pause);
        }
        let read = |wire: &mut Wire| {
            let body = wire.body(framing);
            let mut state = shared.lock();
            let request = &mut state.requests[index];
            request.end = if body.complete {
                End::Complete
            } else {
                End::Aborted
            };
            request.body = body;
            drop(state);
            shared.changed.notify_all();
        };
        if answer.reading == Reading::Whole {
            if expects && wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
                break;
            }
            read(wire);
        }
        if answer.reading == Reading::Whole && answer.then == Then::Close {
            // The FIN is sent with the response, so that the relay sees it before its next request.
            sockopt::set_tcp_cork(wire.stream(), true).expect("a socket takes TCP_CORK");
        }
        if send(wire, &answer).is_err() {
            break;
        }
        match answer.then {
            Then::KeepAlive if answer.reading == Reading::Early => read(wire),
            Then::KeepAlive if answer.reading == Reading::Whole => {}
            Then::KeepAlive | Then::Hold => return hold(wire, answer.reading),
            Then::Close => break,
            Then::Linger => {
                drop(wire.finish());
                thread::sleep(RESET_AVOIDANCE);
                break;
            }
            Then::Reset => return reset(wire.stream()),
            Then::Refuse => {
                drop(wire.finish());
                return reset(wire.stream());
            }
            Then::Echo => return echo(wire),
        }
    }
}

fn send(wire: &Wire, answer: &Answer) -> io::Result<()> {
    thread::sleep(answer.delay);
    for (pause, piece) in &answer.pieces {
        thread::sleep(*pause);
        wire.send(piece)?;
    }
    Ok(())
}

/// Keeps the connection open until the peer closes it or the stand-in stops. A stand-in that reads nothing does not see
/// the peer's close.
fn hold(wire: &mut Wire, reading: Reading) {
    if reading == Reading::Unread {
        thread::sleep(IDLE);
    } else {
        while wire.some(1024).is_ok_and(|bytes| !bytes.is_empty()) {}
    }
}

fn echo(wire: &mut Wire) {
    while let Ok(bytes) = wire.some(64 * 1024) {
        if bytes.is_empty() || wire.send(&bytes.to_ascii_uppercase()).is_err() {
            break;
        }
    }
}

/// Makes the following close send a RST instead of a FIN.
fn reset(stream: &TcpStream) {
    sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("a socket takes SO_LINGER");
}
