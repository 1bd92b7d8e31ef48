//! Settings of the proxy. Their values are validated before they get here.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use pyrotee_net::Connector;
use pyrotee_net::server::TlsAcceptor;
use pyrotee_queue::{Budget, Producer, RecordCheck};

/// Settings of the proxy.
#[derive(Debug)]
pub struct Settings {
    /// TLS of the clients' connections, which can be changed through a clone; `None`: clients speak plain HTTP.
    pub listen_tls: Option<TlsAcceptor>,
    /// The upstream; `None` if there is none.
    pub upstream: Option<UpstreamSettings>,
    /// Puts records into the queues of the targets. [`Proxy::run`](crate::Proxy::run) drops it when the last request
    /// has ended, and not before, even if no request is teed.
    pub producer: Arc<dyn Producer>,
    /// The memory budget that captures reserve from.
    pub budget: Arc<Budget>,
    /// What the proxy does with ingestion requests besides teeing them, until
    /// [`PolicyHandle::set`](crate::PolicyHandle::set) changes it.
    pub local_writes: LocalWrites,
    /// The tee, until [`PolicyHandle::set`](crate::PolicyHandle::set) changes it; `None` for a pure proxy.
    pub tee: Option<TeeSettings>,
}

/// Settings of the upstream, the local Pyroscope.
#[derive(Debug)]
pub struct UpstreamSettings {
    /// Scheme and authority of the upstream.
    pub origin: Uri,
    /// Opens connections to the upstream, with its TLS until
    /// [`UpstreamTlsHandle::set`](crate::UpstreamTlsHandle::set) changes it.
    pub connector: Connector,
    /// Opens the HTTP/2 connection to the upstream that gRPC calls take, with the same TLS.
    pub grpc_connector: Connector,
    /// Maximum number of connections to the upstream; `None`: as many as the file descriptors allow.
    pub max_connections: Option<NonZeroUsize>,
    /// Maximum time from the end of a request's body to the head of the response.
    pub timeout: Duration,
    /// Whether to add `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`.
    pub forwarded_headers: bool,
}

/// What the proxy does with ingestion requests besides teeing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalWrites {
    /// Forwards them to the upstream, whose response the client gets.
    Forward,
    /// Does not forward them, and responds itself. Without a tee, they are forwarded all the same.
    Discard,
}

/// Which profiles are teed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeeOn {
    /// All profiles whose body is complete, whatever the upstream responds.
    Always,
    /// Only profiles to which the upstream responds with a 2xx.
    UpstreamSuccess,
}

/// What the tee does with duplicates: requests that a client sends again because it got no 2xx,
/// although the profile was teed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Forwards them to the upstream and does not tee them.
    Drop,
    /// Tees them like any other request.
    Tee,
}

/// Settings of the tee.
#[derive(Debug, Clone)]
pub struct TeeSettings {
    /// Largest body that is teed, in bytes.
    pub max_body: u64,
    /// Which profiles are teed.
    pub on: TeeOn,
    /// What the tee does with duplicates.
    pub duplicates: Duplicates,
    /// Checks whether a record can be sent to a target, before [`LocalWrites::Discard`] responds. `None`: only the
    /// deliveries check it.
    pub check: Option<Arc<dyn RecordCheck>>,
}
