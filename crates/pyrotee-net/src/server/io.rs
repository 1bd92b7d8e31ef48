//! A client's socket that reports its reads and writes to the connection's timeouts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;

use super::ConnectionTimeouts;

/// The socket of one client. The socket holds `P`, the connection's place in the listener's limit, until the
/// socket is closed, also if the connection switches protocols.
#[derive(Debug)]
pub struct TimedIo<P> {
    io: Take<TcpStream>,
    timeouts: Arc<ConnectionTimeouts>,
    read_limit: Arc<AtomicU64>,
    /// The next read returns `Pending` once, so that the task first handles the bytes of the last read.
    pauses: bool,
    _place: P,
}

impl<P> TimedIo<P> {
    /// A socket of which each read returns at most `read_limit` bytes.
    pub fn new(
        io: TcpStream,
        timeouts: Arc<ConnectionTimeouts>,
        read_limit: Arc<AtomicU64>,
        place: P,
    ) -> Self {
        Self {
            io: io.take(read_limit.load(Relaxed)),
            timeouts,
            read_limit,
            pauses: false,
            _place: place,
        }
    }
}

impl<P: Unpin> TimedIo<P> {
    fn write(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.io.get_mut())
    }

    fn note_write<T>(&self, result: Poll<T>) -> Poll<T> {
        self.timeouts.write_polled(result.is_pending());
        result
    }
}

impl<P: Unpin> AsyncRead for TimedIo<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.pauses) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (before, has_room) = (buf.filled().len(), buf.remaining() > 0);
        let limit = self.read_limit.load(Relaxed);
        self.io.set_limit(limit);
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            // h2 decodes all heads that it can read before it hands over the first request. One read holds a
            // few heads; all that a client may send at once holds 100 heads, each of up to 1 MB in memory.
            self.pauses = self.timeouts.bytes_read(read);
        } else if has_room && self.timeouts.is_half_closed(cx) {
            // hyper would conclude from the end of the input that the client is gone, and drop the request.
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<P: Unpin> AsyncWrite for TimedIo<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.write().poll_write(cx, buf);
        self.note_write(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.write().poll_write_vectored(cx, bufs);
        self.note_write(result)
    }
}
