//! The client's side of a request: its connection, its upload, its HTTP/2 stream.

mod active_uploads;
mod http2;
mod peer;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use pyroscope_wire::Surface;
use pyrotee_net::server::{ConnectionTimeouts, Deadlines};

pub(crate) use active_uploads::ActiveUploads;
pub(crate) use http2::{Http2Streams, PacedBody, StreamExecutor, StreamRefusal};
pub(crate) use peer::{Peer, Source};
pub(crate) use upload::UploadBody;

/// Largest head of a request, in bytes; a larger one gets a 431.
pub(crate) const MAX_HEAD: usize = 256 * 1024;

/// Deadlines of a client's connection. Node and Go keep idle connections for up to 75 s: a shorter idle time would
/// reset connections that they are about to use.
const DEADLINES: Deadlines = Deadlines {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(120),
    write: STALL_TIMEOUT,
};

/// How long a request's body, or the reading of a response, may stand still because of the client.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: Peer,
    /// Whether the client uses TLS.
    pub(crate) is_tls: bool,
    pub(crate) timeouts: Arc<ConnectionTimeouts>,
    /// The uploads of all connections of the listener.
    pub(crate) uploads: Arc<ActiveUploads>,
}

impl Client {
    /// A connection that was just accepted; `is_tls`: its handshake is done.
    pub(crate) fn new(peer: impl Into<Peer>, is_tls: bool, uploads: Arc<ActiveUploads>) -> Self {
        Self {
            peer: peer.into(),
            is_tls,
            timeouts: Arc::new(ConnectionTimeouts::new(DEADLINES)),
            uploads,
        }
    }

    /// Counts the upload of a request's body as active until the guard is dropped.
    pub(crate) fn begin_upload(self: &Arc<Self>) -> UploadGuard {
        self.uploads.begin();
        self.timeouts.body_started();
        UploadGuard(Arc::clone(self))
    }
}

impl UploadGuard {
    /// Notes whether the body waits for the client after a poll.
    fn polled(&self, waits: bool) {
        self.0.timeouts.body_polled(waits);
    }

    /// Notes that the client has stopped sending.
    fn stalled(&self) {
        self.0.timeouts.close_when_idle();
    }
}

/// An active upload of a request's body. Until the guard is dropped, the connection is not idle.
#[derive(Debug)]
pub(crate) struct UploadGuard(Arc<Client>);

impl Drop for UploadGuard {
    fn drop(&mut self) {
        self.0.timeouts.body_ended();
        self.0.uploads.end();
    }
}

/// The connection and the surface of a request. The listener puts this context into the extensions of every request.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) client: Arc<Client>,
    /// The ingestion surface that the request is for; `None` if the request is no ingestion.
    pub(crate) surface: Option<Surface>,
}

impl RequestContext {
    /// Recognises the surface of `request` and attaches the context to it.
    pub(crate) fn attach<B>(client: &Arc<Client>, request: &mut Request<B>) {
        let surface = Surface::recognise(request.method().as_str(), request.uri().path());
        let client = Arc::clone(client);
        request.extensions_mut().insert(Self { client, surface });
    }

    /// Returns the context of `request`; `None` if the request did not come through the listener.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// Returns the surface of `request`.
    pub(crate) fn surface_of<B>(request: &Request<B>) -> Option<Surface> {
        Self::of(request).and_then(|context| context.surface)
    }
}
