//! Connections of the relay itself: pipes within the process, without a port.

use std::future::pending;
use std::io;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Connections that may wait to be served. The listener serves them at once, so this is never reached.
const MOST_WAITING: usize = 1_024;

/// Bytes in each direction that one side may be ahead of the other, as on a socket.
const PIPE: usize = 64 * 1024;

/// Opens connections to the proxy within the process. Their requests take the way of a client's, and count as pulled.
///
/// They count in no limit of client connections: the number of requests at once is the opener's to limit. An entrance
/// does not keep the proxy alive: after its drain began, no connection can be opened. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Entrance(Sender<DuplexStream>);

/// The connections that were opened and are not served yet.
#[derive(Debug)]
pub(crate) struct Pipes(Receiver<DuplexStream>);

/// An entrance, and the connections that come through it.
pub(crate) fn entrance() -> (Entrance, Pipes) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    (Entrance(sender), Pipes(receiver))
}

impl Entrance {
    /// Opens a connection, over which the caller speaks HTTP/1.1 or HTTP/2.
    ///
    /// # Errors
    /// The proxy stops, or is overloaded.
    pub fn open(&self) -> io::Result<DuplexStream> {
        let (near, far) = duplex(PIPE);
        match self.0.try_send(far) {
            Ok(()) => Ok(near),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                let text = "the relay is stopping";
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, text))
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                let text = "the relay is overloaded";
                Err(io::Error::new(io::ErrorKind::WouldBlock, text))
            }
        }
    }
}

impl Pipes {
    /// Waits for the next connection: for ever if nobody can open one any more.
    pub(super) async fn next(&mut self) -> DuplexStream {
        match self.0.recv().await {
            Some(pipe) => pipe,
            None => pending().await,
        }
    }
}
