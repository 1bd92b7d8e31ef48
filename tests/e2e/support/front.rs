//! A port in front of a stand-in that speaks no TLS: it ends TLS, or fails to in a given way.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustls::ServerConfig;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
};
use tokio_rustls::TlsAcceptor;

use super::h2::runtime;

/// What a port does with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Speech {
    /// Shakes hands, and passes on what is inside TLS.
    Tls(Arc<ServerConfig>),
    /// Passes on every byte.
    Plain,
    /// Reads the first bytes, and closes.
    Close,
    /// Reads everything, and never says anything.
    Silent,
    /// Responds to the first bytes with these bytes, and closes.
    Say(&'static [u8]),
}

/// A running port; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropping this ends the server.
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    behind: SocketAddr,
    speech: Mutex<Speech>,
    connections: AtomicUsize,
    shaken: AtomicUsize,
    passed: AtomicUsize,
    /// The certificate that the client showed, for each handshake in which it showed one.
    shown: Mutex<Vec<Vec<u8>>>,
    /// Ends the open connections.
    hang_up: Notify,
}

impl Front {
    /// TLS in front of `behind`.
    pub(crate) fn tls(behind: SocketAddr, config: ServerConfig) -> Self {
        Self::start(behind, Speech::Tls(Arc::new(config)))
    }

    pub(crate) fn start(behind: SocketAddr, speech: Speech) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has one");
        let shared = Arc::new(Shared {
            behind,
            speech: Mutex::new(speech),
            connections: AtomicUsize::new(0),
            shaken: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
            shown: Mutex::default(),
            hang_up: Notify::new(),
        });
        listener
            .set_nonblocking(true)
            .expect("a listener can be non-blocking");
        let (stop, stopped) = oneshot::channel();
        let kept = Arc::clone(&shared);
        thread::spawn(move || {
            runtime().block_on(async {
                let listener = TcpListener::from_std(listener).expect("it is non-blocking");
                tokio::spawn(accept(listener, kept));
                // The end of the runtime ends every task on it.
                drop(stopped.await);
            });
        });
        Self {
            address,
            shared,
            _stop: stop,
        }
    }

    /// Changes what the port does with later connections.
    pub(crate) fn set(&self, speech: Speech) {
        *self.shared.speech.lock().expect("nobody panics with it") = speech;
    }

    /// Ends the open connections.
    pub(crate) fn hang_up(&self) {
        self.shared.hang_up.notify_waiters();
    }

    /// The https address with `host` as its host.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Handshakes that succeeded so far.
    pub(crate) fn handshakes(&self) -> usize {
        self.shared.shaken.load(Ordering::SeqCst)
    }

    /// The certificates that clients showed, one for each handshake with one.
    pub(crate) fn client_certificates(&self) -> Vec<Vec<u8>> {
        let shown = self.shared.shown.lock();
        shown.expect("nobody panics with it").clone()
    }

    /// Bytes that were passed on to the stand-in so far.
    pub(crate) fn passed(&self) -> usize {
        self.shared.passed.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        // An error is the end of this connection, and the peer sees it.
        tokio::spawn(async move {
            tokio::select! {
                ended = serve(stream, &shared) => drop(ended),
                () = shared.hang_up.notified() => {}
            }
        });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let speech = shared.speech.lock().expect("nobody panics with it").clone();
    match speech {
        Speech::Tls(config) => {
            let stream = TlsAcceptor::from(config).accept(stream).await?;
            shared.shaken.fetch_add(1, Ordering::SeqCst);
            if let Some([leaf, ..]) = stream.get_ref().1.peer_certificates() {
                let mut shown = shared.shown.lock().expect("nobody panics with it");
                shown.push(leaf.to_vec());
            }
            pass(stream, shared).await
        }
        Speech::Plain => pass(stream, shared).await,
        Speech::Close => stream.read(&mut vec![0; 16 * 1024]).await.map(drop),
        Speech::Silent => io::copy(&mut stream, &mut io::sink()).await.map(drop),
        Speech::Say(bytes) => {
            let _first = stream.read(&mut vec![0; 16 * 1024]).await?;
            stream.write_all(bytes).await
        }
    }
}

/// Passes bytes on in both directions, and the end of each.
async fn pass(peer: impl AsyncRead + AsyncWrite, shared: &Shared) -> io::Result<()> {
    let (mut from_peer, mut to_peer) = io::split(peer);
    let (mut from_behind, mut to_behind) = TcpStream::connect(shared.behind).await?.into_split();
    let inward = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_peer.read(&mut buffer).await?;
            if read == 0 {
                return to_behind.shutdown().await;
            }
            shared.passed.fetch_add(read, Ordering::SeqCst);
            to_behind.write_all(&buffer[..read]).await?;
        }
    };
    let outward = async {
        io::copy(&mut from_behind, &mut to_peer).await?;
        to_peer.shutdown().await
    };
    // When the stand-in ends the connection, nothing of the peer is read any more, as if there were no front.
    tokio::select! {
        ended = outward => ended,
        Err(error) = inward => Err(error),
    }
}
