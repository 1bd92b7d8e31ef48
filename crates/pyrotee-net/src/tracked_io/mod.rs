//! A connection that tracks what `hyper` does not report: whether the peer has ever sent a byte, and how far the
//! last request was written when the peer ended the connection.
//!
//! hyper flushes the connection when its own buffer is empty, so after a successful flush all bytes that hyper
//! had are written. Only the request's body can tell whether these bytes were the whole request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, interval};

use crate::ConnectionState;
use crate::connection_state::End;
use crate::stream::{SocketEnd, Stream, is_tls, socket_end};

/// Idle time before a request after which a reset means that the peer or a gateway had closed or forgotten the
/// connection. After a shorter idle time it is as likely that the peer crashed while it handled the request.
const IDLE: Duration = Duration::from_secs(1);

/// How long to wait after a FIN for the reset that shows that the peer's kernel refused the request: the peer
/// had closed the connection, and its FIN crossed the request. The reset arrives one round trip after the
/// request was written. A peer that closes after it has read the request sends no reset.
const RESET_WAIT: Duration = Duration::from_millis(500);

/// Time between two questions to the kernel for that reset: tokio cannot wait for the reset, because the socket
/// is readable already.
const RESET_POLL: Duration = Duration::from_millis(10);

/// A connection that updates its [`ConnectionState`] and counts as open until it is dropped.
#[derive(Debug)]
pub struct TrackedIo {
    io: Stream,
    state: ConnectionState,
    progress: Progress,
    /// When the peer sent its last byte.
    last_answer: Instant,
    /// The connection was idle for longer than [`IDLE`] before the request.
    was_idle: bool,
    /// The timer and the end of the wait for a reset after the peer's FIN; `None` if there was no such wait.
    reset_wait: Option<(Interval, Instant)>,
    open: Arc<AtomicU64>,
    /// Counts the connection against the connector's limit.
    _permit: Option<OwnedSemaphorePermit>,
}

/// How far the last request was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing since the peer's last byte.
    Nothing,
    /// hyper has more bytes to write.
    Some,
    /// All bytes that hyper had.
    All,
}

impl TrackedIo {
    /// Adds one to `open`, and subtracts it again on drop.
    pub(crate) fn new(
        io: Stream,
        open: Arc<AtomicU64>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        open.fetch_add(1, Relaxed);
        Self {
            io,
            state: ConnectionState::default(),
            progress: Progress::Nothing,
            last_answer: Instant::now(),
            was_idle: false,
            reset_wait: None,
            open,
            _permit: permit,
        }
    }

    /// The state that this connection updates.
    pub fn state(&self) -> &ConnectionState {
        &self.state
    }

    /// Called before each write, since on a connection that the peer has reset the write itself fails.
    fn before_write(&mut self) {
        if self.progress == Progress::Nothing && self.state.has_answered() {
            self.was_idle = self.last_answer.elapsed() > IDLE;
            // The last moment to learn that the peer closed the connection before the request.
            if matches!(
                socket_end(&self.io),
                Some(SocketEnd::Closed | SocketEnd::Reset)
            ) {
                self.state.note_end(End::BeforeWritten);
            }
        }
        self.progress = Progress::Some;
    }

    /// Called with the error of a write. Returns the TLS alert that the peer sent before it closed the
    /// connection, if there is one, because the alert names the cause.
    fn write_failed(&mut self, cx: &mut Context<'_>, error: io::Error) -> io::Error {
        self.state.note_end(End::BeforeWritten);
        if self.state.has_answered() || !is_tls(&self.io) {
            return error;
        }
        let mut scratch = [0; 256];
        match Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut scratch)) {
            Poll::Ready(Err(alert)) => alert,
            _ => error,
        }
    }

    /// Called when a read finds the end of the connection. `refused`: the end shows that the peer had closed the
    /// connection before the request.
    fn read_ended(&mut self, refused: bool) {
        match self.progress {
            // The end of an idle connection, or of a response.
            Progress::Nothing => {}
            Progress::Some => self.state.note_end(End::BeforeWritten),
            Progress::All if refused => self.state.note_end(End::Refused),
            Progress::All => self.state.note_end(End::AfterWritten),
        }
    }

    /// Waits for a reset after the peer's FIN, if that reset would show that the connection was stale. Returns
    /// whether the reset has arrived.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let would_tell = self.progress == Progress::All
            && self.state.has_answered()
            && self.state.end() == End::None
            && socket_end(&self.io).is_some();
        if !would_tell {
            return Poll::Ready(false);
        }
        let (ticks, until) = self
            .reset_wait
            .get_or_insert_with(|| (interval(RESET_POLL), Instant::now() + RESET_WAIT));
        while socket_end(&self.io) != Some(SocketEnd::Reset) {
            if ready!(ticks.poll_tick(cx)) >= *until {
                return Poll::Ready(false);
            }
        }
        Poll::Ready(true)
    }
}

impl Drop for TrackedIo {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

impl AsyncRead for TrackedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match ready!(Pin::new(&mut self.io).poll_read(cx, buf)) {
            Ok(()) if buf.filled().len() > before => {
                self.state.note_answer();
                self.progress = Progress::Nothing;
                self.last_answer = Instant::now();
                Poll::Ready(Ok(()))
            }
            // Not the end: the buffer has no room for a byte.
            Ok(()) if buf.remaining() == 0 => Poll::Ready(Ok(())),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                let was_reset = error.kind() == io::ErrorKind::ConnectionReset;
                let refused = was_reset && self.was_idle;
                self.read_ended(refused);
                Poll::Ready(Err(error))
            }
            // FIN; over TLS an error if no alert announced the end. A later read finds the end again.
            end => {
                let refused = ready!(self.poll_reset(cx));
                self.read_ended(refused);
                Poll::Ready(end)
            }
        }
    }
}

impl AsyncWrite for TrackedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.before_write();
        ready!(Pin::new(&mut self.io).poll_write(cx, buf))
            .map_err(|error| self.write_failed(cx, error))
            .into()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))
            .map_err(|error| self.write_failed(cx, error))?;
        if self.progress == Progress::Some {
            self.progress = Progress::All;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.before_write();
        ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))
            .map_err(|error| self.write_failed(cx, error))
            .into()
    }
}

impl Connection for TrackedIo {
    fn connected(&self) -> Connected {
        // Without the socket's own extensions: the pool copies them for every response, and nobody reads them.
        Connected::new().extra(self.state.clone())
    }
}

#[cfg(test)]
mod tests;
