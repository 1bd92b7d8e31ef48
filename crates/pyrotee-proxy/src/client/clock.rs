//! How long a connection may be silent.
//!
//! hyper's own header timeout also ends idle keep-alive connections, and does not see a connection
//! that never sends its first byte. So the socket tells the clock what moves, requests tell it when
//! they begin and end, and the connection's task asks it when to give up.

use std::sync::Mutex;
use std::time::Duration;

use pyrotee_queue::lock;
use tokio::time::Instant;

use crate::metrics::Silence;

/// From the connection, or from a head's first byte, to the end of the head.
const HEAD: Duration = Duration::from_secs(10);

/// Between two requests. Node and Go keep connections for up to 75 s and would run into a reset.
const IDLE: Duration = Duration::from_secs(120);

/// Between two reads while a body is owed, and between two writes that a client does not take.
const STALL: Duration = Duration::from_secs(120);

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Clock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The connection speaks HTTP/2: bytes between requests are not the start of a head.
    multiplexed: bool,
    /// A head has begun and no request has come of it yet.
    in_head: bool,
    in_flight: u32,
    /// Requests whose body is not complete.
    receiving: u32,
    read_by: Option<Instant>,
    write_by: Option<Instant>,
}

impl Clock {
    /// A connection that has just been accepted.
    pub(crate) fn new() -> Self {
        let state = State {
            multiplexed: false,
            in_head: true,
            in_flight: 0,
            receiving: 0,
            read_by: Some(Instant::now() + HEAD),
            write_by: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Bytes came.
    pub(crate) fn read(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        if bytes.starts_with(b"PRI * HTTP/2") {
            state.multiplexed = true;
        }
        if state.receiving > 0 {
            state.read_by = Some(Instant::now() + STALL);
        } else if state.in_flight == 0 && state.multiplexed {
            state.read_by = Some(Instant::now() + IDLE);
        } else if state.in_flight == 0 && !state.in_head {
            state.in_head = true;
            state.read_by = Some(Instant::now() + HEAD);
        }
    }

    /// The client takes what is written, or does not.
    pub(crate) fn written(&self, blocked: bool) {
        let mut state = lock(&self.state);
        match (blocked, state.write_by) {
            (true, None) => state.write_by = Some(Instant::now() + STALL),
            (false, Some(_)) => state.write_by = None,
            _ => {}
        }
    }

    /// A request begins; `body`: there is more of it to come.
    pub(crate) fn begin(&self, body: bool) {
        let mut state = lock(&self.state);
        state.in_head = false;
        state.in_flight += 1;
        state.receiving += u32::from(body);
        state.read_by = (state.receiving > 0).then(|| Instant::now() + STALL);
    }

    /// The body of a request is whole, broken, or of no interest any more.
    pub(crate) fn received(&self) {
        let mut state = lock(&self.state);
        state.receiving = state.receiving.saturating_sub(1);
        if state.receiving == 0 {
            state.read_by = None;
        }
    }

    /// A request has been answered.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 && state.receiving == 0 {
            state.read_by = Some(Instant::now() + IDLE);
        }
    }

    /// When the connection has been silent for too long, and what it owed.
    pub(crate) fn deadline(&self) -> Option<(Instant, Silence)> {
        let state = lock(&self.state);
        let reading = state.read_by.map(|by| {
            let phase = match (state.receiving, state.in_head) {
                (1.., _) => Silence::Body,
                (0, true) => Silence::Head,
                (0, false) => Silence::Idle,
            };
            (by, phase)
        });
        let writing = state.write_by.map(|by| (by, Silence::Answer));
        reading.into_iter().chain(writing).min_by_key(|(by, _)| *by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(clock: &Clock) -> Option<(u64, Silence)> {
        let (by, phase) = clock.deadline()?;
        Some((
            by.saturating_duration_since(Instant::now()).as_secs(),
            phase,
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_gets_no_more_time() {
        let clock = Clock::new();
        assert_eq!(left(&clock), Some((10, Silence::Head)));
        tokio::time::advance(Duration::from_secs(4)).await;
        clock.read(b"P");
        tokio::time::advance(Duration::from_secs(4)).await;
        clock.read(b"O");
        assert_eq!(left(&clock), Some((2, Silence::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_time_and_in_a_head_there_is_not() {
        let clock = Clock::new();
        clock.begin(false);
        assert_eq!(
            left(&clock),
            None,
            "the upstream's time is not the client's"
        );
        clock.end();
        assert_eq!(left(&clock), Some((120, Silence::Idle)));
        clock.read(b"G");
        assert_eq!(left(&clock), Some((10, Silence::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_for_ever_if_it_moves() {
        let clock = Clock::new();
        clock.begin(true);
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(100)).await;
            clock.read(b"x");
        }
        assert_eq!(left(&clock), Some((120, Silence::Body)));
        clock.received();
        assert_eq!(left(&clock), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_has_a_limit() {
        let clock = Clock::new();
        clock.begin(false);
        clock.written(true);
        tokio::time::advance(Duration::from_secs(20)).await;
        clock.written(true);
        assert_eq!(left(&clock), Some((100, Silence::Answer)));
        clock.written(false);
        assert_eq!(left(&clock), None);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_of_http2_between_requests_are_no_head() {
        let clock = Clock::new();
        clock.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(left(&clock).map(|(left, _)| left), Some(120));
        clock.begin(false);
        clock.end();
        clock.read(b"ping");
        assert_eq!(left(&clock), Some((120, Silence::Idle)));
    }
}
