//! A client's socket that tells its clock what moves.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::client::Client;

/// The socket of one client, with its place among the connections.
#[derive(Debug)]
pub(super) struct ClientIo {
    io: Take<TcpStream>,
    client: Arc<Client>,
    _place: Option<OwnedSemaphorePermit>,
}

impl ClientIo {
    pub(super) fn new(
        io: TcpStream,
        client: Arc<Client>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            io: io.take(client.uploads.read_limit()),
            client,
            _place: place,
        }
    }

    fn write(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.io.get_mut())
    }

    fn note<T>(&self, result: Poll<T>) -> Poll<T> {
        self.client.clock.written(result.is_pending());
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
            self.client.clock.read(bytes);
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
        self.note(result)
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
        self.note(result)
    }
}
