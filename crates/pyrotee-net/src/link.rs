//! What is known of one connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The state of one connection, shared between its socket and whoever asks after a failure.
#[derive(Clone, Debug, Default)]
pub struct Link {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A byte has come at all: some exchange before this one was answered.
    answered: AtomicBool,
    /// No byte has come since the last attempt to write.
    silent: AtomicBool,
}

impl Link {
    /// Whether the last exchange failed as one does on a keep-alive connection that the peer has
    /// given up meanwhile: it had answered before, and not a byte came to this request.
    pub fn is_stale(&self) -> bool {
        self.has_answered() && self.state.silent.load(Relaxed)
    }

    /// Whether a byte has come at all.
    pub(crate) fn has_answered(&self) -> bool {
        self.state.answered.load(Relaxed)
    }
}

/// A connection that keeps its [`Link`] true.
#[derive(Debug)]
pub struct Watched<T> {
    io: T,
    link: Link,
    open: Arc<AtomicU64>,
}

impl<T> Watched<T> {
    pub(crate) fn new(io: T, open: Arc<AtomicU64>) -> Self {
        open.fetch_add(1, Relaxed);
        Self {
            io,
            link: Link::default(),
            open,
        }
    }

    /// What is known of it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    fn note_write(&self) {
        self.link.state.silent.store(true, Relaxed);
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.link.state.silent.store(false, Relaxed);
            self.link.state.answered.store(true, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Before the attempt: a connection that was reset meanwhile fails the write itself.
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

impl<T: Connection> Connection for Watched<T> {
    fn connected(&self) -> Connected {
        // Not what the socket says of itself: the pool copies all of it for every answer, and nobody reads it.
        Connected::new().extra(self.link.clone())
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
        let mut near = Watched::new(near, Arc::clone(&open));
        let link = near.link.clone();
        assert_eq!(open.load(Relaxed), 1);

        near.write_all(b"first").await.unwrap();
        assert!(
            !link.is_stale(),
            "a fresh connection that says nothing is not stale"
        );
        far.write_all(b"answer").await.unwrap();
        near.read_exact(&mut [0; 6]).await.unwrap();
        assert!(!link.is_stale(), "it answered");
        near.write_all(b"second").await.unwrap();
        assert!(link.is_stale());
        far.write_all(b"a").await.unwrap();
        near.read_exact(&mut [0; 1]).await.unwrap();
        assert!(!link.is_stale(), "one byte is an answer that broke off");

        drop(far);
        near.write_all(b"third").await.unwrap_err();
        assert!(link.is_stale(), "the write itself failed");
        drop(near);
        assert_eq!(open.load(Relaxed), 0);
    }
}
