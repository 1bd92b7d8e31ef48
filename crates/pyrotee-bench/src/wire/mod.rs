//! The part of HTTP/1.1 that sinks and clients need, with little work, so that the bench is not the bottleneck.
//!
//! A body is never kept. Bytes that are not checked are discarded by the kernel without a copy, unless they are
//! encrypted.

mod body;
mod head;
mod stamp;

pub(crate) use body::{Arrived, Look};
pub(crate) use head::{Framing, RequestHead, ResponseHead};
pub(crate) use stamp::{Bodies, Stamp};

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, TlsStream,
    rustls::{ClientConfig, ServerConfig, pki_types::ServerName},
};
use tokio_util::either::Either;

use crate::tls::NAME;

/// Longest head of a message.
const LONGEST_HEAD: usize = 16 * 1024;

/// Most bytes of one read of a head or of a checked body.
const CHUNK: usize = 16 * 1024;

/// One end of a connection, with what was read beyond the last message.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    ahead: Vec<u8>,
}

/// A socket, with or without TLS.
type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

impl Wire {
    /// Connects to a server, over TLS if there is a configuration.
    pub(crate) async fn connect(
        to: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        let socket = TcpStream::connect(to).await?;
        let Some(tls) = tls else {
            return Self::over(Either::Left(socket));
        };
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, socket);
        Self::over(Either::Right(Box::new(stream.await?.into())))
    }

    /// Serves a client, over TLS if there is a configuration.
    pub(crate) async fn accept(
        socket: TcpStream,
        tls: Option<&Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        let Some(tls) = tls else {
            return Self::over(Either::Left(socket));
        };
        let stream = TlsAcceptor::from(Arc::clone(tls)).accept(socket);
        Self::over(Either::Right(Box::new(stream.await?.into())))
    }

    fn over(stream: Stream) -> io::Result<Self> {
        let wire = Self {
            stream,
            ahead: Vec::with_capacity(CHUNK),
        };
        wire.socket().set_nodelay(true)?;
        Ok(wire)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match &self.stream {
            Either::Left(socket) => socket,
            Either::Right(tls) => tls.get_ref().0,
        }
    }

    /// Ends the connection; over TLS the peer is told first.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends pieces with as few system calls as possible, and without copying them.
    pub(crate) async fn send_all(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<_> = pieces.iter().map(|piece| io::IoSlice::new(piece)).collect();
        let mut left = slices.as_mut_slice();
        // Skips empty pieces, because a write of zero bytes would count as an error.
        io::IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = self.stream.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            io::IoSlice::advance_slices(&mut left, written);
        }
        self.stream.flush().await
    }

    /// Reads the head of a request; `None` when the client closes instead.
    ///
    /// # Errors
    ///
    /// If the connection breaks, or what comes is no HTTP/1.1.
    pub(crate) async fn request_head(&mut self) -> io::Result<Option<RequestHead>> {
        self.head(RequestHead::parse).await
    }

    /// Reads the head of a response and skips interim ones; `None` when the server closes instead.
    ///
    /// # Errors
    ///
    /// If the connection breaks, or what comes is no HTTP/1.1.
    pub(crate) async fn response_head(&mut self) -> io::Result<Option<ResponseHead>> {
        loop {
            let head = self.head(ResponseHead::parse).await?;
            if head.as_ref().is_none_or(|head| head.status >= 200) {
                return Ok(head);
            }
        }
    }

    /// Reads the interim response to `Expect: 100-continue`, or the final response that came instead.
    pub(crate) async fn interim(&mut self) -> io::Result<Option<ResponseHead>> {
        self.head(ResponseHead::parse).await
    }

    async fn head<H>(
        &mut self,
        parse: impl Fn(&[u8]) -> io::Result<Option<(H, usize)>>,
    ) -> io::Result<Option<H>> {
        loop {
            if let Some((head, length)) = parse(&self.ahead)? {
                self.ahead.drain(..length);
                return Ok(Some(head));
            }
            if self.ahead.len() > LONGEST_HEAD {
                return Err(io::Error::other("the head of a message is too long"));
            }
            if self.more().await? == 0 {
                return match self.ahead.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Reads the available bytes, at least one; returns 0 at the end of the stream.
    async fn more(&mut self) -> io::Result<usize> {
        self.ahead.reserve(CHUNK);
        self.stream.read_buf(&mut self.ahead).await
    }
}
