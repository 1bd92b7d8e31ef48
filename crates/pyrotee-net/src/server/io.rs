//! A client's connection that reports its reads and writes to the connection's timeouts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use super::ConnectionTimeouts;

/// The stream of one client, over a socket or over TLS. It holds `P`, the connection's place in the listener's limit,
/// until it is closed, also if the connection switches protocols.
#[derive(Debug)]
pub struct TimedIo<T, P> {
    io: Take<T>,
    timeouts: Arc<ConnectionTimeouts>,
    read_limit: Arc<AtomicU64>,
    /// The next read returns `Pending` once, so that the task first handles the bytes of the last read.
    pauses: bool,
    /// The last read returned bytes.
    has_read: bool,
    /// The last flush was blocked.
    flush_blocks: bool,
    _place: P,
}

impl<T: AsyncRead, P> TimedIo<T, P> {
    /// A stream of which each read returns at most `read_limit` bytes.
    pub fn new(
        io: T,
        timeouts: Arc<ConnectionTimeouts>,
        read_limit: Arc<AtomicU64>,
        place: P,
    ) -> Self {
        Self {
            io: io.take(read_limit.load(Relaxed)),
            timeouts,
            read_limit,
            pauses: false,
            has_read: false,
            flush_blocks: false,
            _place: place,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, P: Unpin> TimedIo<T, P> {
    fn write(&mut self) -> Pin<&mut T> {
        Pin::new(self.io.get_mut())
    }

    fn note_write<R>(&self, result: Poll<R>) -> Poll<R> {
        self.timeouts.write_polled(result.is_pending());
        result
    }

    /// TLS buffers what it is given: a client that does not read blocks a flush or the shutdown. A flush that was not
    /// blocked is no progress, since hyper flushes when there is nothing to write, too.
    fn note_flush(&mut self, result: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        let was_blocked = std::mem::replace(&mut self.flush_blocks, result.is_pending());
        if was_blocked || self.flush_blocks {
            self.timeouts.write_polled(result.is_pending());
        }
        result
    }
}

impl<T: AsyncRead + Unpin, P: Unpin> AsyncRead for TimedIo<T, P> {
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
        let reset = match ready!(Pin::new(&mut self.io).poll_read(cx, buf)) {
            Ok(()) => None,
            // Over TLS: the client closed its side and did not say so. HTTP itself knows whether a request is complete.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            // The client closed its socket with data unread, such as a session ticket of TLS. It may have sent a whole
            // request before.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(error),
            Err(error) => return Poll::Ready(Err(error)),
        };
        let read = buf.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            // h2 decodes all heads that it can read before it hands over the first request. One read holds a
            // few heads; all that a client may send at once holds 100 heads, each of up to 1 MB in memory.
            self.pauses = self.timeouts.bytes_read(read);
            self.has_read = true;
        } else if has_room {
            if std::mem::take(&mut self.has_read) {
                // TLS finds the end together with the last bytes. The task first starts the request that they complete.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.timeouts.is_half_closed(cx) {
                // hyper would conclude from the end of the input that the client is gone, and drop the request.
                return Poll::Pending;
            }
        }
        Poll::Ready(reset.map_or(Ok(()), Err))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, P: Unpin> AsyncWrite for TimedIo<T, P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.write().poll_write(cx, buf);
        self.note_write(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.write().poll_flush(cx);
        self.note_flush(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.write().poll_shutdown(cx);
        self.note_flush(result)
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
