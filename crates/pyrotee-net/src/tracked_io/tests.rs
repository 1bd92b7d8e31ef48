use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::yield_now;
use tokio::time::advance;
use tokio_util::either::Either;

use super::*;

/// A connection over a pipe that holds 64 bytes, and its far end.
fn pipe() -> (TrackedIo, DuplexStream) {
    let (near, far) = duplex(64);
    (
        TrackedIo::new(
            Either::Left(Either::Right(near)),
            None,
            Arc::default(),
            None,
        ),
        far,
    )
}

/// A connection whose peer has responded to a request.
async fn kept() -> (TrackedIo, DuplexStream) {
    let (mut near, mut far) = pipe();
    near.write_all(b"first").await.unwrap();
    near.flush().await.unwrap();
    far.read_exact(&mut [0; 5]).await.unwrap();
    far.write_all(b"answer").await.unwrap();
    near.read_exact(&mut [0; 6]).await.unwrap();
    (near, far)
}

async fn read_end(near: &mut TrackedIo) {
    assert_eq!(near.read(&mut [0; 64]).await.unwrap(), 0);
}

/// `is_stale` if hyper has taken the whole body, and if it has not.
fn stale(io: &TrackedIo) -> (bool, bool) {
    (io.state.is_stale(true), io.state.is_stale(false))
}

#[tokio::test]
async fn an_end_within_the_request_is_stale() {
    let (mut near, far) = kept().await;
    // Fills the pipe: hyper has more bytes to write.
    near.write_all(&[0; 64]).await.unwrap();
    drop(far);
    read_end(&mut near).await;
    assert_eq!(stale(&near), (true, true));
    assert!(!near.state.is_written(true));
}

#[tokio::test]
async fn an_end_after_the_request_is_not_stale() {
    let (mut near, far) = kept().await;
    near.write_all(b"second").await.unwrap();
    near.flush().await.unwrap();
    drop(far);
    read_end(&mut near).await;
    // hyper flushes the pieces of a body as they come.
    assert_eq!(stale(&near), (false, true));
    assert!(near.state.is_unanswered());
    assert!(near.state.is_written(true) && !near.state.is_written(false));
}

#[tokio::test]
async fn a_write_that_fails_is_stale() {
    let (mut near, far) = kept().await;
    drop(far);
    near.write_all(b"second").await.unwrap_err();
    read_end(&mut near).await;
    assert_eq!(stale(&near), (true, true));
}

#[tokio::test]
async fn one_byte_is_an_answer_that_broke_off() {
    let (mut near, mut far) = kept().await;
    near.write_all(b"second").await.unwrap();
    far.write_all(b"a").await.unwrap();
    near.read_exact(&mut [0; 1]).await.unwrap();
    drop(far);
    read_end(&mut near).await;
    assert_eq!(stale(&near), (false, false));
    assert!(!near.state.is_unanswered() && near.state.is_written(true));
}

#[tokio::test]
async fn a_fresh_connection_is_never_stale() {
    let (mut near, far) = pipe();
    near.write_all(b"first").await.unwrap();
    drop(far);
    read_end(&mut near).await;
    assert_eq!(stale(&near), (false, false));
    assert!(!near.state.is_unanswered());
    assert!(!near.state.is_written(true), "it was not flushed");
}

#[tokio::test]
async fn what_goes_on_after_an_end_can_be_judged_again() {
    let (mut near, mut far) = kept().await;
    near.write_all(b"second").await.unwrap();
    near.state.note_end(End::BeforeWritten);
    far.write_all(b"answer").await.unwrap();
    near.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(near.state.end(), End::None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_after_more_than_a_second() {
    for (rest_ms, is_idle) in [(0, false), (1_000, false), (1_001, true)] {
        let (mut near, _far) = kept().await;
        advance(Duration::from_millis(rest_ms)).await;
        near.write_all(b"second").await.unwrap();
        near.flush().await.unwrap();
        assert_eq!(near.was_idle, is_idle, "{rest_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_within_the_request_is_no_rest() {
    let (mut near, _far) = kept().await;
    near.write_all(b"second").await.unwrap();
    near.flush().await.unwrap();
    advance(Duration::from_secs(5)).await;
    near.write_all(b"its body").await.unwrap();
    near.flush().await.unwrap();
    assert!(!near.was_idle);
}

/// A connection over a socket, whose peer has responded to a request, and its far end.
async fn kept_socket() -> (TrackedIo, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let stream = Either::Left(Either::Left(socket));
    let mut near = TrackedIo::new(stream, None, Arc::default(), None);
    far.write_all(b"answer").unwrap();
    near.read_exact(&mut [0; 6]).await.unwrap();
    (near, far)
}

#[tokio::test]
async fn an_end_that_the_kernel_knows_before_the_request_is_stale() {
    let (mut near, far) = kept_socket().await;
    drop(far);
    // The reactor does not run in this loop, so tokio does not know of the end yet.
    while socket_end(&near.io) == Some(SocketEnd::Open) {
        std::thread::yield_now();
    }
    near.write_all(b"second").await.unwrap();
    near.flush().await.unwrap();
    assert_eq!(near.state.end(), End::BeforeWritten);
}

#[tokio::test]
async fn a_fin_that_a_reset_follows_is_a_refusal() {
    let (mut near, far) = kept_socket().await;
    near.write_all(b"second").await.unwrap();
    near.flush().await.unwrap();
    let ending = async {
        far.shutdown(Shutdown::Write).unwrap();
        yield_now().await;
        // The socket holds unread bytes, so the kernel sends a reset.
        drop(far);
    };
    tokio::join!(read_end(&mut near), ending);
    assert_eq!(near.state.end(), End::Refused);
}

#[tokio::test]
async fn a_reset_without_a_fin_is_a_refusal_only_after_a_rest() {
    for (rest, end) in [
        (Duration::ZERO, End::AfterWritten),
        (2 * IDLE, End::Refused),
    ] {
        let (mut near, far) = kept_socket().await;
        near.last_answer -= rest;
        near.write_all(b"second").await.unwrap();
        near.flush().await.unwrap();
        // Waits until the far end has received the bytes. They stay unread, so the kernel sends a reset.
        far.peek(&mut [0; 6]).unwrap();
        drop(far);
        near.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(near.state.end(), end);
        assert_eq!(near.state.is_stale(true), end == End::Refused);
    }
}

#[tokio::test]
async fn a_fin_that_no_reset_follows_is_ambiguous_after_a_while() {
    let (mut near, far) = kept_socket().await;
    near.write_all(b"second").await.unwrap();
    near.flush().await.unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    let ended = Instant::now();
    read_end(&mut near).await;
    assert!(ended.elapsed() >= RESET_WAIT);
    assert_eq!(near.state.end(), End::AfterWritten);
}

#[tokio::test]
async fn an_open_connection_is_counted() {
    let open = Arc::new(AtomicU64::new(0));
    let (near, _far) = duplex(64);
    let near = TrackedIo::new(
        Either::Left(Either::Right(near)),
        None,
        Arc::clone(&open),
        None,
    );
    assert_eq!(open.load(Relaxed), 1);
    drop(near);
    assert_eq!(open.load(Relaxed), 0);
}
