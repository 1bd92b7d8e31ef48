//! A client's socket that reports its reads and writes to the connection's timeouts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::client::Client;

/// The socket of one client; it holds the connection's permit.
#[derive(Debug)]
pub(super) struct ClientIo {
    io: Take<TcpStream>,
    client: Arc<Client>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl ClientIo {
    pub(super) fn new(
        io: TcpStream,
        client: Arc<Client>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            io: io.take(client.uploads.read_limit()),
            client,
            _permit: permit,
        }
    }

    fn write(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.io.get_mut())
    }

    fn note_write<T>(&self, result: Poll<T>) -> Poll<T> {
        self.client.timeouts.write_polled(result.is_pending());
        result
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let limit = self.client.uploads.read_limit();
        self.io.set_limit(limit);
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.client.timeouts.bytes_read(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
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
