//! Timeouts of a client's connection.
//!
//! hyper's header timeout also ends idle keep-alive connections, and does not cover a connection
//! that never sends its first byte. So the socket and the requests report their events to
//! [`ConnectionTimeouts`], and the connection's task asks it for the next deadline.

use std::sync::Mutex;
use std::time::Duration;

use pyrotee_queue::lock;
use tokio::time::Instant;

use crate::metrics::TimeoutPhase;

/// From accepting the connection, or from the first byte of a head, to the end of the head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two requests. Node and Go keep connections for up to 75 s; a shorter timeout would reset
/// connections that they are about to use.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Between two reads of a request's body, and for a write that the client does not read.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The read and write deadlines of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionTimeouts {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The connection speaks HTTP/2: bytes between requests do not start a head.
    http2: bool,
    /// Bytes of a head are expected or have arrived, and the request has not started yet.
    in_head: bool,
    in_flight: u32,
    /// Requests whose body is not complete.
    receiving: u32,
    read_by: Option<Instant>,
    write_by: Option<Instant>,
}

impl ConnectionTimeouts {
    /// Starts the head timeout of a connection that was just accepted.
    pub(crate) fn new() -> Self {
        let state = State {
            http2: false,
            in_head: true,
            in_flight: 0,
            receiving: 0,
            read_by: Some(Instant::now() + HEAD_TIMEOUT),
            write_by: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Notes that the socket read `bytes`.
    pub(crate) fn bytes_read(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        if bytes.starts_with(b"PRI * HTTP/2") {
            state.http2 = true;
        }
        if state.receiving > 0 {
            state.read_by = Some(Instant::now() + STALL_TIMEOUT);
        } else if state.in_flight == 0 && state.http2 {
            state.read_by = Some(Instant::now() + IDLE_TIMEOUT);
        } else if state.in_flight == 0 && !state.in_head {
            state.in_head = true;
            state.read_by = Some(Instant::now() + HEAD_TIMEOUT);
        }
    }

    /// Notes a write to the socket; `blocked` if the client does not read fast enough to take it.
    pub(crate) fn write_polled(&self, blocked: bool) {
        let mut state = lock(&self.state);
        match (blocked, state.write_by) {
            (true, None) => state.write_by = Some(Instant::now() + STALL_TIMEOUT),
            (false, Some(_)) => state.write_by = None,
            _ => {}
        }
    }

    /// Notes the end of a request's head; `has_body` if a body is to be received.
    pub(crate) fn request_started(&self, has_body: bool) {
        let mut state = lock(&self.state);
        state.in_head = false;
        state.in_flight += 1;
        state.receiving += u32::from(has_body);
        state.read_by = (state.receiving > 0).then(|| Instant::now() + STALL_TIMEOUT);
    }

    /// Notes that no more of a request's body is expected: it is complete, has failed or was
    /// dropped.
    pub(crate) fn body_ended(&self) {
        let mut state = lock(&self.state);
        state.receiving = state.receiving.saturating_sub(1);
        if state.receiving == 0 {
            state.read_by = None;
        }
    }

    /// Notes the end of a request: its response is complete, or was dropped.
    pub(crate) fn request_ended(&self) {
        let mut state = lock(&self.state);
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 && state.receiving == 0 {
            state.read_by = Some(Instant::now() + IDLE_TIMEOUT);
        }
    }

    /// Returns the next deadline and the phase that it limits; `None` while only the upstream is
    /// waited for.
    pub(crate) fn deadline(&self) -> Option<(Instant, TimeoutPhase)> {
        let state = lock(&self.state);
        let reading = state.read_by.map(|by| {
            let phase = match (state.receiving, state.in_head) {
                (1.., _) => TimeoutPhase::Body,
                (0, true) => TimeoutPhase::Head,
                (0, false) => TimeoutPhase::Idle,
            };
            (by, phase)
        });
        let writing = state.write_by.map(|by| (by, TimeoutPhase::Response));
        reading.into_iter().chain(writing).min_by_key(|(by, _)| *by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(timeouts: &ConnectionTimeouts) -> Option<(u64, TimeoutPhase)> {
        let (by, phase) = timeouts.deadline()?;
        Some((
            by.saturating_duration_since(Instant::now()).as_secs(),
            phase,
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_gets_no_more_time() {
        let timeouts = ConnectionTimeouts::new();
        assert_eq!(left(&timeouts), Some((10, TimeoutPhase::Head)));
        tokio::time::advance(Duration::from_secs(4)).await;
        timeouts.bytes_read(b"P");
        tokio::time::advance(Duration::from_secs(4)).await;
        timeouts.bytes_read(b"O");
        assert_eq!(left(&timeouts), Some((2, TimeoutPhase::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_time_and_in_a_head_there_is_not() {
        let timeouts = ConnectionTimeouts::new();
        timeouts.request_started(false);
        assert_eq!(
            left(&timeouts),
            None,
            "the upstream's time is not the client's"
        );
        timeouts.request_ended();
        assert_eq!(left(&timeouts), Some((120, TimeoutPhase::Idle)));
        timeouts.bytes_read(b"G");
        assert_eq!(left(&timeouts), Some((10, TimeoutPhase::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_for_ever_if_it_moves() {
        let timeouts = ConnectionTimeouts::new();
        timeouts.request_started(true);
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(100)).await;
            timeouts.bytes_read(b"x");
        }
        assert_eq!(left(&timeouts), Some((120, TimeoutPhase::Body)));
        timeouts.body_ended();
        assert_eq!(left(&timeouts), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_has_a_limit() {
        let timeouts = ConnectionTimeouts::new();
        timeouts.request_started(false);
        timeouts.write_polled(true);
        tokio::time::advance(Duration::from_secs(20)).await;
        timeouts.write_polled(true);
        assert_eq!(left(&timeouts), Some((100, TimeoutPhase::Response)));
        timeouts.write_polled(false);
        assert_eq!(left(&timeouts), None);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_of_http2_between_requests_are_no_head() {
        let timeouts = ConnectionTimeouts::new();
        timeouts.bytes_read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(left(&timeouts).map(|(left, _)| left), Some(120));
        timeouts.request_started(false);
        timeouts.request_ended();
        timeouts.bytes_read(b"ping");
        assert_eq!(left(&timeouts), Some((120, TimeoutPhase::Idle)));
    }
}
