//! The stream below a connection: a socket with or without TLS, or the near end of a pipe.

use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_util::either::Either;

/// A socket with or without TLS, or the near end of a pipe.
pub(crate) type Stream = Either<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>, DuplexStream>;

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
    matches!(stream, Either::Left(io) if matches!(io.inner(), MaybeHttpsStream::Https(_)))
}

fn socket(stream: &Stream) -> Option<&TcpStream> {
    match stream {
        Either::Left(io) => Some(match io.inner() {
            MaybeHttpsStream::Http(tcp) => tcp.inner(),
            MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
        }),
        Either::Right(_) => None,
    }
}
