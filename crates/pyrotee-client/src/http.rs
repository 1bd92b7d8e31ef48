//! HTTP/1.1 exchanges with one server, one after the other.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use pyrotee_net::{Address, Connector, ExchangeError, Resolver};
use pyrotee_tls::{ClientTls, SystemRoots};

use super::exchange::{BoundedResponse, RequestError};
use super::raw;

/// Sends requests to one server and reads its responses. The client is large: a type that may be part of an
/// enum boxes it.
#[derive(Debug)]
pub(crate) struct HttpClient {
    address: Address,
    connector: Connector,
    pool: legacy::Client<Connector, Full<Bytes>>,
}

/// Whether a connection is used for more than one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// Each request has a connection of its own.
    OnePerRequest,
    /// A connection is kept for the next request.
    KeptAlive,
}

/// Limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExchangeLimits {
    /// From connecting to the end of the response.
    pub timeout: Duration,
    /// Bytes of the response body that are read. A longer body ends the connection.
    pub body_bytes: usize,
}

impl HttpClient {
    /// A client of the server at `address`. Without `tls`, an https server is verified by the roots of the system.
    ///
    /// # Errors
    /// The resolver or the trusted certificates of this machine cannot be read.
    pub(crate) fn new(
        address: Address,
        connections: Connections,
        tls: Option<&ClientTls>,
    ) -> anyhow::Result<Self> {
        let tls = match tls {
            Some(tls) => tls.clone(),
            None => ClientTls::system(&SystemRoots::load()?)?,
        };
        let connector = Connector::new(&Resolver::system()?, &tls);
        let mut pool = legacy::Client::builder(TokioExecutor::new());
        if connections == Connections::OnePerRequest {
            pool.pool_max_idle_per_host(0);
        }
        Ok(Self {
            address,
            pool: pool.build(connector.clone()),
            connector,
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request whose URI is absolute and names this server.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limits: ExchangeLimits,
    ) -> Result<BoundedResponse, RequestError> {
        let exchange = async {
            let response = self.pool.request(request).await.map_err(|error| {
                let fault = ExchangeError::pooled(&error, true);
                match fault.is_connect() {
                    true => RequestError::Connect(fault),
                    false => RequestError::Broken(fault),
                }
            })?;
            Ok(BoundedResponse::read(response, limits.body_bytes).await)
        };
        within(limits.timeout, exchange).await
    }

    /// Sends the bytes of a request unchanged, over a new connection.
    pub(crate) async fn send_raw(
        &self,
        request: &[u8],
        limits: ExchangeLimits,
    ) -> Result<BoundedResponse, RequestError> {
        let exchange = async {
            let connected = self.connector.open(self.address.origin()).await;
            let io = connected.map_err(RequestError::Connect)?;
            raw::exchange(io.into_inner(), request, limits.body_bytes).await
        };
        within(limits.timeout, exchange).await
    }
}

async fn within(
    timeout: Duration,
    exchange: impl Future<Output = Result<BoundedResponse, RequestError>>,
) -> Result<BoundedResponse, RequestError> {
    let ended = tokio::time::timeout(timeout, exchange).await;
    ended.unwrap_or(Err(RequestError::TimedOut(timeout)))
}
