//! Timeouts of a client's connection.
//!
//! hyper's header timeout also ends idle keep-alive connections, and does not cover a connection that never
//! sends its first byte. So the socket and the requests report their events to [`ConnectionTimeouts`], and the
//! connection's task reads the next deadline from it.

#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The first bytes of an HTTP/2 client, the connection preface (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection may take over each of its phases.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From accepting the connection, or from the first byte of a head, to the end of the head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a write that blocks because the client does not read.
    pub write: Duration,
}

/// The phase in which a connection timed out. Each variant names what the client was too slow to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To send a request's head.
    Head,
    /// To send another request.
    Idle,
    /// To read a response.
    Response,
}

/// The read and write deadlines of one connection.
#[derive(Debug)]
pub struct ConnectionTimeouts {
    deadlines: Deadlines,
    half_closed: AtomicBool,
    /// The input has ended before the whole body was taken. hyper may have the rest of it.
    ended_in_body: AtomicBool,
    /// Who takes the body waits for more of it: hyper has no more.
    body_awaited: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    protocol: Protocol,
    /// Bytes of a head are expected or have arrived, and the request has not started yet.
    in_head: bool,
    /// Requests that have not been responded to completely.
    in_flight: u32,
    /// Requests whose body is not complete.
    receiving: u32,
    /// How long the connection may be idle.
    idle: Duration,
    read_by: Option<Instant>,
    write_by: Option<Instant>,
    /// The task that reads a half-closed connection. It is woken when the connection is idle, or when a body turns out to be
    /// cut short, and then reads the end of the input.
    reader: Option<Waker>,
}

/// The version of HTTP, recognised by the first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// This many bytes have arrived, all equal to the start of [`PREFACE`].
    Unknown(usize),
    Http1,
    /// Bytes between requests do not start a head, and do not postpone the end of an idle connection.
    Http2,
}

impl ConnectionTimeouts {
    /// Starts the head timeout of a connection that was just accepted.
    pub fn new(deadlines: Deadlines) -> Self {
        let state = State {
            protocol: Protocol::Unknown(0),
            in_head: true,
            in_flight: 0,
            receiving: 0,
            idle: deadlines.idle,
            read_by: Some(Instant::now() + deadlines.head),
            write_by: None,
            reader: None,
        };
        Self {
            deadlines,
            half_closed: AtomicBool::new(false),
            ended_in_body: AtomicBool::new(false),
            body_awaited: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Starts the head timeout anew, after a TLS handshake.
    pub fn handshake_ended(&self) {
        self.state().read_by = Some(Instant::now() + self.deadlines.head);
    }

    /// Notes that the socket read `bytes`. Returns whether the connection speaks HTTP/2.
    pub(super) fn bytes_read(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        if let Protocol::Unknown(seen) = state.protocol {
            state.protocol = Protocol::after(seen, bytes);
            if state.protocol == Protocol::Http2 {
                state.in_head = false;
                state.read_by = Some(Instant::now() + self.deadlines.idle);
            }
        }
        if state.is_idle() && !state.in_head && state.protocol == Protocol::Http1 {
            state.in_head = true;
            state.read_by = Some(Instant::now() + self.deadlines.head);
        }
        state.protocol == Protocol::Http2
    }

    /// Notes that the client has closed its side of the connection. Returns whether the client may still wait
    /// for a response, which is so after a complete request over HTTP/1. Then the task of `cx` is woken once
    /// the response is complete, or once it is known that the request is not.
    pub(super) fn is_half_closed(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if state.protocol == Protocol::Http2 || state.in_flight == 0 {
            return false;
        }
        state.reader = Some(cx.waker().clone());
        if state.receiving > 0 {
            // hyper may have read the whole body, while the relay still connects to the upstream.
            self.ended_in_body.store(true, SeqCst);
            return !self.body_awaited.load(SeqCst);
        }
        if !self.half_closed.swap(true, Relaxed) {
            state.write_by = Some(Instant::now() + self.deadlines.idle);
            tracing::debug!("client closed its side of the connection and may wait for a response");
            // Wakes the task that serves the request, which calls `may_be_gone`.
            cx.waker().wake_by_ref();
        }
        true
    }

    /// Whether the client closed its side before the response to its request: the client waits for the
    /// response, or is gone.
    pub fn may_be_gone(&self) -> bool {
        self.half_closed.load(Relaxed)
    }

    /// Notes a write to the socket; `blocked` if the client does not read fast enough to take it.
    pub(super) fn write_polled(&self, blocked: bool) {
        let mut state = self.state();
        match (blocked, state.write_by) {
            (true, None) => state.write_by = Some(Instant::now() + self.deadlines.write),
            (false, Some(_)) => {
                let waits = self.may_be_gone();
                state.write_by = waits.then(|| Instant::now() + self.deadlines.idle);
            }
            _ => {}
        }
    }

    /// Notes the end of a request's head.
    pub fn request_started(&self) {
        let mut state = self.state();
        state.in_head = false;
        state.in_flight += 1;
        state.read_by = None;
    }

    /// Notes that the response to a request is complete, or was dropped.
    pub fn request_ended(&self) {
        let mut state = self.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.ended();
    }

    /// Notes that a request has a body, which is to be received.
    pub fn body_started(&self) {
        self.body_awaited.store(false, SeqCst);
        self.state().receiving += 1;
    }

    /// Notes whether a body that was polled has no frame yet: the relay waits for the client.
    pub fn body_polled(&self, awaited: bool) {
        self.body_awaited.store(awaited, SeqCst);
        if awaited && self.ended_in_body.load(SeqCst) {
            self.state().wake_reader();
        }
    }

    /// Notes that no more of a request's body is expected: it is complete, has failed or was dropped.
    pub fn body_ended(&self) {
        let mut state = self.state();
        state.receiving = state.receiving.saturating_sub(1);
        if state.receiving == 0 {
            state.wake_reader();
        }
        state.ended();
    }

    /// Ends the connection as soon as it is idle, which may be now: the client has exceeded a limit.
    pub fn close_when_idle(&self) {
        let mut state = self.state();
        state.idle = Duration::ZERO;
        state.ended();
    }

    /// Returns the next deadline and the phase that it limits; `None` while the connection waits for the server
    /// only.
    pub fn deadline(&self) -> Option<(Instant, Phase)> {
        let state = self.state();
        let phase = match state.in_head {
            true => Phase::Head,
            false => Phase::Idle,
        };
        let reading = state.read_by.map(|by| (by, phase));
        let writing = state.write_by.map(|by| (by, Phase::Response));
        reading.into_iter().chain(writing).min_by_key(|(by, _)| *by)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether no request is being received or responded to.
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.receiving == 0
    }

    /// Starts the idle time, if nothing is received or responded to.
    fn ended(&mut self) {
        if self.is_idle() {
            self.read_by = Some(Instant::now() + self.idle);
            self.wake_reader();
        }
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Protocol {
    /// The protocol once `bytes` have followed the first `seen` bytes of [`PREFACE`].
    fn after(seen: usize, bytes: &[u8]) -> Self {
        let expected = PREFACE.get(seen..).unwrap_or_default();
        let len = expected.len().min(bytes.len());
        match (
            expected.get(..len) == bytes.get(..len),
            len < expected.len(),
        ) {
            (true, true) => Self::Unknown(seen + len),
            (true, false) => Self::Http2,
            (false, _) => Self::Http1,
        }
    }
}

/// Resolves when the connection's deadline has passed. Must be polled after every step of the connection,
/// because the step may change the deadline.
pub async fn timed_out(timeouts: &ConnectionTimeouts, mut timer: Pin<&mut Sleep>) -> Phase {
    poll_fn(|cx| poll_deadline(timer.as_mut(), || timeouts.deadline(), cx)).await
}

/// Ready when the time that `deadline` returns has passed, with the value beside that time. A deadline that
/// moved closer takes effect at the next poll, a deadline that moved away when the timer fires.
pub fn poll_deadline<T>(
    mut timer: Pin<&mut Sleep>,
    deadline: impl Fn() -> Option<(Instant, T)>,
    cx: &mut Context<'_>,
) -> Poll<T> {
    while let Some((deadline, limited)) = deadline() {
        if deadline < timer.deadline() || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        match timer.as_mut().poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(()) if Instant::now() >= deadline => return Poll::Ready(limited),
            Poll::Ready(()) => {}
        }
    }
    Poll::Pending
}
