//! Errors of forwarding a request to the upstream.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use pyroscope_wire::error_response::RpcCode;
use pyrotee_net::server::ClientFault;
use pyrotee_net::{ExchangeError, ExchangeErrorKind};

use crate::synthetic_response::{self, RETRY_AFTER_SECONDS, SyntheticBody};
use crate::upstream_limit::UpstreamLimit;
use crate::upstream_monitor::UpstreamMonitor;

/// Why the client gets no response of the upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// The connection could not be opened, or it broke.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(#[from] ExchangeError),
    /// The upstream did not respond within `upstream.timeout`.
    #[error("the upstream did not answer within {0:?}")]
    Timeout(Duration),
    /// No permit to use the upstream became free within `upstream.timeout`.
    #[error("too many requests to the upstream at once: the limit on {} is reached", .0.as_str())]
    Saturated(UpstreamLimit),
    /// The request's body did not arrive, because of the client.
    #[error("the request's body {}", match .0 {
        ClientFault::Aborted => "broke off",
        ClientFault::Malformed => "is not framed as HTTP requires",
        ClientFault::Stalled => "stopped arriving",
    })]
    Client(ClientFault),
    /// The upstream switched to a protocol although the client had not asked for another one.
    #[error("the upstream switched protocols unasked")]
    UnaskedSwitch,
    /// The method is `CONNECT`, which only a forward proxy serves.
    #[error("this is a reverse proxy: CONNECT has no meaning here")]
    Unsupported,
    /// The request has passed [`MAX_PROXIES`] proxies: the upstream probably leads back to this relay.
    #[error(
        "the request has passed {MAX_PROXIES} proxies, as X-Forwarded-For says: \
         does the relay's upstream.address lead back to the relay?"
    )]
    Loop,
}

/// Number of proxies in `X-Forwarded-For` from which a request is taken to be in a loop. A long chain without
/// a loop has five: a CDN, a load balancer, an ingress, a gateway and a sidecar.
pub(super) const MAX_PROXIES: usize = 16;

impl ForwardError {
    /// Returns the kind of the upstream's fault; `None` if the upstream is not at fault.
    pub(super) fn kind(&self) -> Option<ExchangeErrorKind> {
        match self {
            Self::Unreachable(fault) => Some(fault.kind()),
            Self::Timeout(_) => Some(ExchangeErrorKind::Timeout),
            Self::UnaskedSwitch => Some(ExchangeErrorKind::Reset),
            Self::Saturated(_) | Self::Client(_) | Self::Unsupported | Self::Loop => None,
        }
    }

    /// Returns the error without the words that say that it is about the upstream.
    pub(super) fn cause(&self) -> String {
        match self {
            Self::Unreachable(fault) => fault.to_string(),
            Self::Timeout(limit) => format!("no response within {limit:?}"),
            _ => self.to_string(),
        }
    }

    /// Returns what an operator does about the upstream; `None` if the error is not about the upstream.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Saturated(limit) => Some(limit.remedy()),
            Self::Unreachable(fault) => Some(fault.remedy()),
            _ => self.kind().map(ExchangeErrorKind::remedy),
        }
    }

    fn status(&self) -> (StatusCode, RpcCode) {
        match self {
            Self::Unreachable(_) | Self::UnaskedSwitch => {
                (StatusCode::BAD_GATEWAY, RpcCode::Unavailable)
            }
            Self::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, RpcCode::DeadlineExceeded),
            Self::Saturated(_) => (StatusCode::SERVICE_UNAVAILABLE, RpcCode::Unavailable),
            Self::Client(ClientFault::Malformed) => {
                (StatusCode::BAD_REQUEST, RpcCode::InvalidArgument)
            }
            Self::Client(ClientFault::Stalled) => {
                (StatusCode::REQUEST_TIMEOUT, RpcCode::DeadlineExceeded)
            }
            // Nobody reads this response, but it is counted as nginx counts it.
            Self::Client(ClientFault::Aborted) => (client_closed_request(), RpcCode::Unknown),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, RpcCode::Unimplemented),
            Self::Loop => (StatusCode::LOOP_DETECTED, RpcCode::FailedPrecondition),
        }
    }
}

/// A request that was not forwarded, and the upstream for which it was.
#[derive(Debug)]
pub(crate) struct RelayError {
    pub(super) error: ForwardError,
    pub(super) upstream: UpstreamMonitor,
}

impl RelayError {
    /// Returns the response that the client gets instead of the upstream's. It names the upstream's address and the
    /// remedy if the error is about the upstream.
    pub(crate) fn into_response(self) -> Response<SyntheticBody> {
        let Self { error, upstream } = self;
        let (status, code) = error.status();
        tracing::debug!(status = status.as_u16(), %error, "request failed");
        let mut text = error.to_string();
        if let Some(remedy) = error.remedy() {
            let address = upstream.address();
            text = format!("{text}; upstream.address is {address}; {remedy}");
        }
        let mut response = synthetic_response::error(status, code, &text);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

/// nginx' status for a client that closed the connection before the response.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}
