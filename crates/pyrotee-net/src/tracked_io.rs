//! A connection that tracks what `hyper` does not report: whether the peer has ever sent a byte, and whether
//! it has sent one since the last write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connector::Stream;

/// Whether one connection has gone stale. The connection updates it, and the code that handles a failed
/// exchange reads it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ConnectionState {
    flags: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    /// The peer has sent at least one byte: an earlier exchange on this connection got a response.
    answered: AtomicBool,
    /// The peer has sent no byte since the last attempt to write.
    silent: AtomicBool,
}

impl ConnectionState {
    /// Whether the last exchange failed on a stale connection: the peer answered an earlier request on it and
    /// sent no byte of a response to this one.
    pub fn is_stale(&self) -> bool {
        self.has_answered() && self.flags.silent.load(Relaxed)
    }

    /// Whether the peer has sent at least one byte.
    pub(crate) fn has_answered(&self) -> bool {
        self.flags.answered.load(Relaxed)
    }
}

/// A connection that updates its [`ConnectionState`] and counts as open until it is dropped.
#[derive(Debug)]
pub struct TrackedIo {
    io: Stream,
    state: ConnectionState,
    open: Arc<AtomicU64>,
}

impl TrackedIo {
    /// Adds one to `open`, and subtracts it again on drop.
    pub(crate) fn new(io: Stream, open: Arc<AtomicU64>) -> Self {
        open.fetch_add(1, Relaxed);
        Self {
            io,
            state: ConnectionState::default(),
            open,
        }
    }

    /// The state that this connection updates.
    pub fn state(&self) -> &ConnectionState {
        &self.state
    }

    fn note_write(&self) {
        self.state.flags.silent.store(true, Relaxed);
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
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.state.flags.silent.store(false, Relaxed);
            self.state.flags.answered.store(true, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TrackedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Before the attempt: on a connection that the peer has reset, the write itself fails.
        self.note_write();
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
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
        self.note_write();
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

impl Connection for TrackedIo {
    fn connected(&self) -> Connected {
        // Without the socket's own extensions: the pool copies them for every response, and nobody reads them.
        Connected::new().extra(self.state.clone())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn only_a_silent_connection_that_answered_before_is_stale() {
        let open = Arc::new(AtomicU64::new(0));
        let (near, mut far) = duplex(64);
        let mut near = TrackedIo::new(Stream::Right(near), Arc::clone(&open));
        let state = near.state.clone();
        assert_eq!(open.load(Relaxed), 1);

        near.write_all(b"first").await.unwrap();
        assert!(
            !state.is_stale(),
            "a fresh connection that says nothing is not stale"
        );
        far.write_all(b"answer").await.unwrap();
        near.read_exact(&mut [0; 6]).await.unwrap();
        assert!(!state.is_stale(), "it answered");
        near.write_all(b"second").await.unwrap();
        assert!(state.is_stale());
        far.write_all(b"a").await.unwrap();
        near.read_exact(&mut [0; 1]).await.unwrap();
        assert!(!state.is_stale(), "one byte is an answer that broke off");

        drop(far);
        near.write_all(b"third").await.unwrap_err();
        assert!(state.is_stale(), "the write itself failed");
        drop(near);
        assert_eq!(open.load(Relaxed), 0);
    }
}
