//! The client's side of a request: its connection, its timeouts, its upload.

mod active_uploads;
mod timeouts;

use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use pyroscope_wire::Surface;

use crate::guard_body::BodyGuard;
pub(crate) use active_uploads::ActiveUploads;
pub(crate) use timeouts::ConnectionTimeouts;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) timeouts: ConnectionTimeouts,
    /// The uploads of all connections of the listener.
    pub(crate) uploads: Arc<ActiveUploads>,
}

impl Client {
    /// A connection that was just accepted.
    pub(crate) fn new(peer: SocketAddr, uploads: Arc<ActiveUploads>) -> Self {
        Self {
            peer,
            timeouts: ConnectionTimeouts::new(),
            uploads,
        }
    }

    /// Counts the upload of a request's body as active until the guard is dropped.
    pub(crate) fn begin_upload(self: &Arc<Self>) -> UploadGuard {
        self.uploads.begin();
        UploadGuard(Arc::clone(self))
    }
}

/// An active upload of a request's body. Dropping the guard ends the upload and its read timeout.
#[derive(Debug)]
pub(crate) struct UploadGuard(Arc<Client>);

impl BodyGuard for UploadGuard {}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        self.0.timeouts.body_ended();
        self.0.uploads.end();
    }
}

/// What the listener knows about a request. Every request carries it in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) client: Arc<Client>,
    /// The ingestion surface that the request is for; `None` if it is no ingestion.
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
