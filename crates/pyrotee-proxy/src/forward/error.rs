//! Errors of forwarding a request to the upstream.

use std::time::Duration;

use http::{Response, StatusCode};
use pyroscope_wire::error_response::RpcCode;
use pyrotee_net::{ExchangeError, ExchangeErrorKind};

use crate::synthetic_response::{self, SyntheticBody};

/// Why the upstream did not respond to a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// The connection could not be opened, or it broke.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(#[from] ExchangeError),
    /// The upstream did not respond within `upstream.timeout`.
    #[error("the upstream did not answer within {0:?}")]
    Timeout(Duration),
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
            Self::Unsupported | Self::Loop => None,
        }
    }

    /// Returns the response that the client gets instead of the upstream's.
    pub(crate) fn into_response(self) -> Response<SyntheticBody> {
        let (status, code) = match self {
            Self::Unreachable(_) => (StatusCode::BAD_GATEWAY, RpcCode::Unavailable),
            Self::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, RpcCode::DeadlineExceeded),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, RpcCode::Unimplemented),
            Self::Loop => (StatusCode::LOOP_DETECTED, RpcCode::FailedPrecondition),
        };
        tracing::debug!(status = status.as_u16(), error = %self, "request failed");
        synthetic_response::error(status, code, &self.to_string())
    }
}
