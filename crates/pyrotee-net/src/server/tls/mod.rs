//! TLS of a listener's connections.

mod acceptor;
#[cfg(test)]
mod tests;

pub use acceptor::{HandshakeError, TlsAcceptor};

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// The stream of a client's connection, with or without TLS.
pub type ClientStream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Whether the client has shown a certificate, which the handshake has verified.
pub fn has_client_certificate(stream: &ClientStream) -> bool {
    match stream {
        Either::Left(_) => false,
        Either::Right(tls) => tls.get_ref().1.peer_certificates().is_some(),
    }
}
