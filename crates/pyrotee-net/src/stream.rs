//! The stream below a connection: a socket or the near end of a pipe, with or without TLS.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// A socket, or the near end of a pipe.
pub(crate) type Transport = Either<TcpStream, DuplexStream>;

/// A transport with or without TLS.
pub(crate) type Stream = Either<Transport, Box<TlsStream<Transport>>>;

/// Whether the peer has ended a connection, as the kernel reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketEnd {
    /// The peer has sent neither FIN nor RST.
    Open,
    /// The peer has sent FIN.
    Closed,
    /// The peer has sent RST, perhaps after a FIN.
    Reset,
}

/// Asks the kernel whether the peer has ended the connection. tokio learns of the end only after its reactor
/// has run, and over TLS a read would return the peer's last message first. `None` if `stream` is a pipe.
pub(crate) fn socket_end(stream: &Stream) -> Option<SocketEnd> {
    let mut polled = [PollFd::new(socket(stream)?, PollFlags::RDHUP)];
    poll(&mut polled, Some(&Timespec::default())).ok()?;
    let [polled] = polled;
    let events = polled.revents();
    Some(if events.intersects(PollFlags::HUP | PollFlags::ERR) {
        SocketEnd::Reset
    } else if events.contains(PollFlags::RDHUP) {
        SocketEnd::Closed
    } else {
        SocketEnd::Open
    })
}

/// Whether the stream speaks TLS.
pub(crate) fn is_tls(stream: &Stream) -> bool {
    matches!(stream, Either::Right(_))
}

fn socket(stream: &Stream) -> Option<&TcpStream> {
    let transport = match stream {
        Either::Left(transport) => transport,
        Either::Right(tls) => tls.get_ref().0,
    };
    match transport {
        Either::Left(socket) => Some(socket),
        Either::Right(_) => None,
    }
}
