use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

const DEADLINES: Deadlines = Deadlines {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(120),
    write: Duration::from_secs(100),
};

fn connection() -> ConnectionTimeouts {
    ConnectionTimeouts::new(DEADLINES)
}

fn left(timeouts: &ConnectionTimeouts) -> Option<(u64, Phase)> {
    let (by, phase) = timeouts.deadline()?;
    Some((
        by.saturating_duration_since(Instant::now()).as_secs(),
        phase,
    ))
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_gets_no_more_time() {
    let timeouts = connection();
    assert_eq!(left(&timeouts), Some((10, Phase::Head)));
    for byte in [b"P", b"O"] {
        tokio::time::advance(Duration::from_secs(4)).await;
        timeouts.bytes_read(byte);
    }
    assert_eq!(left(&timeouts), Some((2, Phase::Head)));
}

#[tokio::test(start_paused = true)]
async fn between_requests_there_is_time_and_in_a_head_there_is_not() {
    let timeouts = connection();
    timeouts.bytes_read(b"GET / HTTP/1.1\r\n\r\n");
    timeouts.request_started();
    assert_eq!(
        left(&timeouts),
        None,
        "the upstream's time is not the client's"
    );
    timeouts.request_ended();
    assert_eq!(left(&timeouts), Some((120, Phase::Idle)));
    timeouts.bytes_read(b"G");
    assert_eq!(left(&timeouts), Some((10, Phase::Head)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_once_body_and_response_have_ended() {
    let timeouts = connection();
    timeouts.request_started();
    timeouts.body_started();
    timeouts.request_ended();
    assert_eq!(left(&timeouts), None, "the rest of the body is being read");
    timeouts.body_ended();
    assert_eq!(left(&timeouts), Some((120, Phase::Idle)));

    timeouts.request_started();
    timeouts.close_when_idle();
    assert_eq!(left(&timeouts), None, "another request is served");
    timeouts.request_ended();
    assert_eq!(left(&timeouts), Some((0, Phase::Idle)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_is_to_close_ends_at_once() {
    let timeouts = connection();
    timeouts.bytes_read(PREFACE);
    timeouts.close_when_idle();
    assert_eq!(left(&timeouts), Some((0, Phase::Idle)));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_nobody_reads_has_a_limit() {
    let timeouts = connection();
    timeouts.request_started();
    timeouts.write_polled(true);
    tokio::time::advance(Duration::from_secs(20)).await;
    timeouts.write_polled(true);
    assert_eq!(left(&timeouts), Some((80, Phase::Response)));
    timeouts.write_polled(false);
    assert_eq!(left(&timeouts), None);
}

#[tokio::test(start_paused = true)]
async fn pings_of_http2_neither_start_a_head_nor_postpone_the_end() {
    for pieces in [&[PREFACE][..], &[&PREFACE[..5], &PREFACE[5..]]] {
        let timeouts = connection();
        for piece in pieces {
            timeouts.bytes_read(piece);
        }
        assert_eq!(left(&timeouts), Some((120, Phase::Idle)));
        timeouts.request_started();
        timeouts.request_ended();
        tokio::time::advance(Duration::from_secs(50)).await;
        timeouts.bytes_read(b"ping");
        assert_eq!(left(&timeouts), Some((70, Phase::Idle)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_breaks_off_is_a_head() {
    let timeouts = connection();
    timeouts.bytes_read(&PREFACE[..20]);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(left(&timeouts), Some((7, Phase::Head)));
}

#[test]
fn the_end_of_the_input_is_read_again_when_the_body_needs_more_or_no_more() {
    for needs_more in [true, false] {
        let (waker, timeouts) = (Arc::new(Wakes::default()), connection());
        timeouts.bytes_read(b"POST");
        timeouts.request_started();
        timeouts.body_started();
        timeouts.body_polled(false);
        let reader = Arc::clone(&waker).into();
        assert!(timeouts.is_half_closed(&Context::from_waker(&reader)));
        assert_eq!(waker.0.load(Relaxed), 0);
        match needs_more {
            true => timeouts.body_polled(true),
            false => timeouts.body_ended(),
        }
        assert_eq!(waker.0.load(Relaxed), 1);
    }
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closed_its_side_is_waited_for_as_long_as_the_response_moves() {
    let timeouts = connection();
    let cx = Context::from_waker(Waker::noop());
    assert!(!timeouts.is_half_closed(&cx), "no request was sent");
    timeouts.bytes_read(b"POST");
    timeouts.request_started();
    timeouts.body_started();
    assert!(timeouts.is_half_closed(&cx), "hyper may have the body");
    assert!(!timeouts.may_be_gone());
    timeouts.body_polled(true);
    assert!(!timeouts.is_half_closed(&cx), "the body is cut short");
    timeouts.body_ended();
    assert!(timeouts.is_half_closed(&cx) && timeouts.may_be_gone());
    assert_eq!(left(&timeouts), Some((120, Phase::Response)));
    tokio::time::advance(Duration::from_secs(100)).await;
    timeouts.write_polled(false);
    assert_eq!(left(&timeouts), Some((120, Phase::Response)));
    timeouts.request_ended();
    assert!(!timeouts.is_half_closed(&cx), "the response is complete");
}
