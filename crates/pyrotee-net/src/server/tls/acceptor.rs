//! Makes the handshakes of a listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pyrotee_tls::{HandshakeErrorKind, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::either::Either;

use super::ClientStream;

/// How long a client may take from the accepted connection to the end of its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to read on after a refusal. If the socket were closed with unread bytes, the kernel would reset the
/// connection, and the client would not see the refusal.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes that are read on after a refusal.
const LINGER_BYTES: u64 = 64 * 1024;

/// The first byte of a TLS connection: that of a record of the handshake.
const HANDSHAKE: u8 = 0x16;

/// The response to a client that does not speak TLS.
const USE_HTTPS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 72\r\n\
    Connection: close\r\n\r\n\
    this port speaks TLS: write https:// instead of http:// in the address.\n";

/// TLS of a listener. Cheap to clone: all clones share the value in force.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    in_force: Arc<ArcSwap<ServerTls>>,
}

/// A client's handshake failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", kind.text())]
pub struct HandshakeError {
    /// Why.
    pub kind: HandshakeErrorKind,
    /// The error of the connection; `None` if there was none.
    #[source]
    pub source: Option<io::Error>,
}

impl TlsAcceptor {
    /// An acceptor with `tls` in force.
    pub fn new(tls: ServerTls) -> Self {
        Self {
            in_force: Arc::new(ArcSwap::from_pointee(tls)),
        }
    }

    /// Puts `tls` in force for the connections that are accepted from now on. An equal value changes nothing, so that
    /// clients can resume their sessions.
    pub fn set(&self, tls: ServerTls) {
        if **self.in_force.load() != tls {
            self.in_force.store(Arc::new(tls));
        }
    }

    /// The value in force.
    pub fn tls(&self) -> Arc<ServerTls> {
        self.in_force.load_full()
    }

    /// Makes the handshake of an accepted connection, in 10 s at most. `None`: the client closed or reset the connection
    /// before its first byte, as probes of balancers do. A client that does not speak TLS gets a plain 400.
    ///
    /// # Errors
    ///
    /// If the handshake fails. The client has been told then, and the connection is closed.
    pub async fn accept(&self, socket: TcpStream) -> Result<Option<ClientStream>, HandshakeError> {
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let accepted = timeout_at(deadline, self.accept_in_time(socket)).await;
        let (error, socket) = match accepted {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(refused)) => refused,
            Err(_elapsed) => return Err(HandshakeError::of(HandshakeErrorKind::Timeout)),
        };
        if let Some(socket) = socket {
            linger(socket).await;
        }
        Err(error)
    }

    /// A failure that the client was told comes with its socket, which still has to be read.
    async fn accept_in_time(
        &self,
        mut socket: TcpStream,
    ) -> Result<Option<ClientStream>, (HandshakeError, Option<TcpStream>)> {
        let mut first = [0];
        match socket.peek(&mut first).await {
            Ok(0) => return Ok(None),
            Ok(_) if first == [HANDSHAKE] => {}
            Ok(_) => {
                // A client that does not read learns nothing.
                let told = socket.write_all(USE_HTTPS).await;
                let refused = HandshakeError::of(HandshakeErrorKind::NotTls);
                return Err((refused, told.ok().map(|()| socket)));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err((error.into(), None)),
        }
        let acceptor = tokio_rustls::TlsAcceptor::from(self.in_force.load().config());
        match acceptor.accept(socket).into_fallible().await {
            Ok(tls) => Ok(Some(Either::Right(Box::new(tls)))),
            // The alert that names the reason has been written.
            Err((error, socket)) => Err((error.into(), Some(socket))),
        }
    }
}

impl HandshakeError {
    /// Logs the failure of the client at `peer`. `listener` is `data` or `admin`, as in the metric; `left_out`: so many
    /// failures of this kind were not logged before.
    pub fn log(&self, listener: &'static str, peer: SocketAddr, left_out: u64) {
        let client = peer.ip().to_canonical();
        let error = self.source.as_ref().map(tracing::field::display);
        tracing::warn!(
            listener,
            kind = self.kind.as_str(),
            reason = self.kind.text(),
            %client,
            error,
            remedy = self.kind.remedy(),
            left_out,
            "client failed the TLS handshake"
        );
    }

    fn of(kind: HandshakeErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self {
            kind: HandshakeErrorKind::of(&error),
            source: Some(error),
        }
    }
}

/// Closes the own side of `socket`, and reads what the client still sends, within limits.
async fn linger(mut socket: TcpStream) {
    let reading = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Nobody waits for the result: the client was told what could be told.
    drop(timeout(LINGER, reading).await);
}
