//! One HTTP/1.1 exchange after the other with one server.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap, HeaderName, LOCATION};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use pyrotee_net::{Address, Connector, ExchangeError, Resolver, Tls};

use super::raw;

/// Sends requests to one server and reads its responses. Owners that may be in an enum box it: it is large.
#[derive(Debug)]
pub(crate) struct HttpClient {
    address: Address,
    connector: Connector,
    pool: legacy::Client<Connector, Full<Bytes>>,
}

/// What becomes of a connection after its first request.
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

/// A response, and as much of its body as was read.
#[derive(Debug)]
pub struct BoundedResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Why `body` is not the whole body.
    pub body_error: Option<BodyError>,
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
    #[error("the response broke off")]
    Broken(#[from] hyper::Error),
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// There is no connection: nothing of the request has left.
    #[error("{0}")]
    Connect(ExchangeError),
    /// The response was not complete in time.
    #[error("no complete answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The server closed the connection while the request was written, and did not respond.
    #[error("{write}: {read}")]
    Upload {
        write: io::Error,
        read: ExchangeError,
    },
    /// The connection broke, or what came over it is not HTTP/1.
    #[error("{0}")]
    Broken(ExchangeError),
}

impl HttpClient {
    /// A client of the server at `address`.
    ///
    /// # Errors
    /// The resolver or the trusted certificates of this machine cannot be read.
    pub(crate) fn new(address: Address, connections: Connections) -> anyhow::Result<Self> {
        let connector = Connector::new(&Resolver::system()?, &Tls::system()?);
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

    /// Sends a request to a whole URI of this server.
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

    /// Sends the bytes of a request as they are, over a connection of their own.
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

impl BoundedResponse {
    /// Reads at most `limit` bytes of the body.
    pub(super) async fn read(response: hyper::Response<Incoming>, limit: usize) -> Self {
        let (head, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        let body_error = loop {
            match incoming.frame().await {
                None => break None,
                Some(Err(error)) => break Some(error.into()),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let room = limit - body.len();
                    body.extend_from_slice(data.get(..room).unwrap_or(&data));
                    if data.len() > room || data.len() == room && !incoming.is_end_stream() {
                        break Some(BodyError::TooLong(limit));
                    }
                }
            }
        };
        Self {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            body_error,
        }
    }

    /// The body as text, or the name of its coding if it has one.
    pub fn text(&self) -> String {
        match self.header(CONTENT_ENCODING) {
            Some(coding) => format!("(a text encoded with {coding})"),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        }
    }

    /// Where a redirect leads.
    pub fn location(&self) -> Option<String> {
        self.header(LOCATION)
    }

    fn header(&self, name: HeaderName) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}
