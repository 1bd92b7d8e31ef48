//! A connection that tracks what `hyper` does not report: whether the peer has ever sent a byte, how far the last
//! request was written when the peer ended the connection, and the failure of TLS that ended it.
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
use pyrotee_tls::{ClientTls, TlsWords, client_words};
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

/// How long to wait after a failed write for the alert that names the cause. It has arrived by then, but tokio does
/// not know until its reactor has run.
const ALERT_WAIT: Duration = Duration::from_millis(500);

/// The first byte of a TLS record that holds an alert. TLS answers a plain request with an alert.
const ALERT: u8 = 0x15;

/// A connection that updates its [`ConnectionState`] and counts as open until it is dropped.
#[derive(Debug)]
pub struct TrackedIo {
    io: Stream,
    /// TLS of the connection; `None` if it has none.
    tls: Option<ClientTls>,
    state: ConnectionState,
    progress: Progress,
    /// When the peer sent its last byte.
    last_answer: Instant,
    /// The connection was idle for longer than [`IDLE`] before the request.
    was_idle: bool,
    /// The timer and the end of the wait for a reset after the peer's FIN; `None` if there was no such wait.
    reset_wait: Option<(Interval, Instant)>,
    /// The same for an alert after a failed write.
    alert_wait: Option<(Interval, Instant)>,
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
        tls: Option<ClientTls>,
        open: Arc<AtomicU64>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        open.fetch_add(1, Relaxed);
        Self {
            io,
            tls,
            state: ConnectionState::default(),
            progress: Progress::Nothing,
            last_answer: Instant::now(),
            was_idle: false,
            reset_wait: None,
            alert_wait: None,
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

    /// Called with the error of a write or flush. Returns the TLS alert that the peer sent before it closed the
    /// connection, if there is one, because the alert names the cause.
    fn write_failed(&mut self, cx: &mut Context<'_>, error: io::Error) -> Poll<io::Error> {
        // A flush without anything to write fails as well, over TLS.
        if self.progress == Progress::Some {
            self.state.note_end(End::BeforeWritten);
        }
        let error = self.explain(error);
        if self.state.has_answered() || !is_tls(&self.io) || self.state.tls_failure().is_some() {
            return Poll::Ready(error);
        }
        let mut scratch = [0; 256];
        let read = Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut scratch));
        let error = match read {
            Poll::Ready(Err(alert)) => alert,
            Poll::Ready(Ok(())) => error,
            // hyper writes again when it is woken, and that write fails again.
            Poll::Pending => {
                ready!(poll_until(&mut self.alert_wait, ALERT_WAIT, cx, || false));
                error
            }
        };
        let error = self.explain(error);
        self.note_wish();
        Poll::Ready(self.explained(error))
    }

    /// Keeps the failure of TLS in `error`, if there is one. Returns the error that hyper gets: its chain of causes has
    /// the words, in case that hyper does not say over which connection it failed.
    fn explain(&self, error: io::Error) -> io::Error {
        let Some(tls) = &self.tls else { return error };
        self.state
            .note_tls_failure(|| client_words(&error, tls.context()));
        self.explained(error)
    }

    /// Called when the connection ends. Keeps that the peer had asked for a certificate that is not configured, if the
    /// end came before the peer's first byte: its alert may have been lost.
    fn note_wish(&self) {
        let Some(tls) = &self.tls else { return };
        self.state.note_tls_failure(|| {
            let context = tls.context();
            (context.asked && !context.own_certificate).then(TlsWords::closed_after_asking)
        });
    }

    fn explained(&self, error: io::Error) -> io::Error {
        match self.state.tls_failure() {
            Some(words) => io::Error::new(error.kind(), words.clone()),
            None => error,
        }
    }

    /// Called when a read finds the end of the connection. `refused`: the end shows that the peer had closed the
    /// connection before the request.
    fn read_ended(&mut self, refused: bool) {
        self.note_wish();
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
        let Self { io, reset_wait, .. } = self;
        poll_until(reset_wait, RESET_WAIT, cx, || {
            socket_end(io) == Some(SocketEnd::Reset)
        })
    }
}

/// Waits until `is_true`, looking every [`RESET_POLL`], for at most `limit`. Returns whether it became true. `wait` is
/// the state of the wait.
fn poll_until(
    wait: &mut Option<(Interval, Instant)>,
    limit: Duration,
    cx: &mut Context<'_>,
    is_true: impl Fn() -> bool,
) -> Poll<bool> {
    let (ticks, until) = wait.get_or_insert_with(|| (interval(RESET_POLL), Instant::now() + limit));
    while !is_true() {
        if ready!(ticks.poll_tick(cx)) >= *until {
            return Poll::Ready(false);
        }
    }
    Poll::Ready(true)
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
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        match read.map_err(|error| self.explain(error)) {
            Ok(()) if buf.filled().len() > before => {
                if self.tls.is_none() && buf.filled().get(before) == Some(&ALERT) {
                    self.state.note_tls_failure(|| Some(TlsWords::spoke_tls()));
                }
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
                Poll::Ready(Err(self.explained(error)))
            }
            // FIN; over TLS an error if no alert announced the end. A later read finds the end again.
            end => {
                let refused = ready!(self.poll_reset(cx));
                self.read_ended(refused);
                match self.state.tls_failure() {
                    Some(words) => Poll::Ready(Err(io::Error::other(words.clone()))),
                    None => Poll::Ready(end),
                }
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
        match ready!(Pin::new(&mut self.io).poll_write(cx, buf)) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(error) => self.write_failed(cx, error).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = ready!(Pin::new(&mut self.io).poll_flush(cx)) {
            return self.write_failed(cx, error).map(Err);
        }
        if self.progress == Progress::Some {
            self.progress = Progress::All;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
        Poll::Ready(shut.map_err(|error| self.explain(error)))
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
        match ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs)) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(error) => self.write_failed(cx, error).map(Err),
        }
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
