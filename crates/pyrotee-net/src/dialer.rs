//! Opens the stream of a connection: resolves the name, connects, and shakes hands if the address is `https://`.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use pyrotee_tls::{Alpn, ClientTls, TlsWords, client_words, handshake_words};
use tokio::io::DuplexStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use tower::{BoxError, ServiceExt};

use crate::Resolver;
use crate::refusal::{CheckedResolver, Refusals};
use crate::stream::{Stream, Transport};

/// How long all of this may take: resolving the name, connecting and the TLS handshake.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the addresses of a name may take to accept a connection, together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// TCP keep-alive: idle time before the first probe, three times the time between probes. The kernel closes the
/// connection of a peer that does not answer the probes.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Opens streams. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    via: Via,
    /// TLS of `https://` addresses; `None`: such addresses are dialled without TLS, as a pipe without TLS is.
    pub(crate) tls: Option<ClientTls>,
    pub(crate) alpn: Alpn,
    /// Addresses that are not dialled; `None`: every address is.
    pub(crate) refusals: Option<Refusals>,
}

#[derive(Clone)]
enum Via {
    Socket {
        connector: HttpConnector<Resolver>,
        resolver: Resolver,
    },
    /// Calls a function instead of opening a socket, for tests that pause the clock.
    Pipe(Arc<dyn Fn() -> io::Result<DuplexStream> + Send + Sync>),
}

impl Dialer {
    /// Dials sockets. Over TLS, `alpn` is the only protocol that is offered.
    pub(crate) fn new(resolver: &Resolver, tls: &ClientTls, alpn: Alpn) -> Self {
        Self {
            via: Via::Socket {
                connector: sockets(resolver.clone()),
                resolver: resolver.clone(),
            },
            tls: Some(tls.clone()),
            alpn,
            refusals: None,
        }
    }

    /// Calls `dial` for each stream.
    pub(crate) fn pipe(
        dial: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static,
    ) -> Self {
        Self {
            via: Via::Pipe(Arc::new(dial)),
            tls: None,
            alpn: Alpn::Http1,
            refusals: None,
        }
    }

    /// TLS to `uri`; `None` if `uri` is dialled without TLS.
    fn tls_to(&self, uri: &Uri) -> Option<&ClientTls> {
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        self.tls.as_ref().filter(|_| is_https)
    }

    /// Opens a stream to the scheme and authority of `uri`; returns it with its TLS, if it has TLS.
    pub(crate) async fn dial(self, uri: Uri) -> Result<(Stream, Option<ClientTls>), BoxError> {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let connecting = self.connect(uri.clone());
        let transport = in_time(deadline, "connecting", connecting).await?;
        let Some(tls) = self.tls_to(&uri) else {
            return Ok((Either::Left(transport), None));
        };
        let shaking = shake(transport, &uri, tls, self.alpn);
        let stream = in_time(deadline, "the TLS handshake", shaking).await?;
        Ok((stream, Some(tls.clone())))
    }

    async fn connect(&self, uri: Uri) -> Result<Transport, BoxError> {
        if let Some(refusals) = &self.refusals {
            refusals.check_literal(&uri)?;
        }
        let socket = match (&self.via, &self.refusals) {
            (Via::Pipe(dial), _) => return Ok(Either::Right(dial()?)),
            (Via::Socket { connector, .. }, None) => connector.clone().oneshot(uri).await?,
            (Via::Socket { resolver, .. }, Some(refusals)) => {
                let checked = CheckedResolver::new(resolver.clone(), refusals.clone(), &uri);
                sockets(checked).oneshot(uri).await?
            }
        };
        Ok(Either::Left(socket.into_inner()))
    }
}

/// Opens sockets to the addresses that `resolver` knows.
fn sockets<R>(resolver: R) -> HttpConnector<R> {
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEP_ALIVE));
    http.set_keepalive_interval(Some(KEEP_ALIVE / 3));
    http
}

/// The connection broke within the handshake, and TLS knows no reason: the server may be restarting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokenHandshake(pub(crate) TlsWords);

/// Puts TLS over `transport`. Each error says what happened and what to do.
async fn shake(
    transport: Transport,
    uri: &Uri,
    tls: &ClientTls,
    alpn: Alpn,
) -> Result<Stream, BoxError> {
    let name = tls.server_name(uri.host().unwrap_or_default())?;
    let connector = TlsConnector::from(tls.config(alpn));
    let stream = match connector.connect(name, transport).await {
        Ok(stream) => stream,
        Err(error) => {
            let context = tls.context();
            let words = handshake_words(&error, context);
            let wants_certificate = context.asked && !context.own_certificate;
            return Err(match client_words(&error, context) {
                None if !wants_certificate => BrokenHandshake(words).into(),
                _ => words.into(),
            });
        }
    };
    // A server without ALPN shakes hands all the same.
    if alpn == Alpn::H2 && stream.get_ref().1.alpn_protocol() != Some(Alpn::H2.as_bytes()) {
        return Err(TlsWords::no_http2().into());
    }
    Ok(Either::Right(Box::new(stream)))
}

async fn in_time<T>(
    deadline: Instant,
    doing: &str,
    step: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    timeout_at(deadline, step).await.unwrap_or_else(|_| {
        let text = format!("{doing} took longer than {OPEN_TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
    })
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
