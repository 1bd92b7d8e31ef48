//! Why the upstream's answer did not come.

use std::time::Duration;

use http::{Response, StatusCode};
use pyroscope_wire::error_response::RpcCode;
use pyrotee_net::{Fault, FaultKind};

use crate::answer::{self, OwnBody};

/// A request that the upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// No connection, or it broke.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(#[from] Fault),
    /// Nothing came back in time.
    #[error("the upstream did not answer within {0:?}")]
    Timeout(Duration),
    /// `CONNECT`, which asks for a forward proxy.
    #[error("this is a reverse proxy: CONNECT has no meaning here")]
    Unsupported,
    /// The upstream leads back here, or nobody knows where it leads.
    #[error(
        "the request has passed {MAX_PROXIES} proxies, as X-Forwarded-For says: \
         does the relay's upstream.address lead back to the relay?"
    )]
    Loop,
}

/// More proxies before this one are taken for a ring. A long chain is a CDN, a load balancer, an ingress, a
/// gateway and a sidecar.
pub(super) const MAX_PROXIES: usize = 16;

impl ForwardError {
    /// What the upstream did wrong, if it was that.
    pub(super) fn kind(&self) -> Option<FaultKind> {
        match self {
            Self::Unreachable(fault) => Some(fault.kind()),
            Self::Timeout(_) => Some(FaultKind::Timeout),
            Self::Unsupported | Self::Loop => None,
        }
    }

    /// What the client is told. The one place where an error becomes an answer.
    pub(crate) fn into_response(self) -> Response<OwnBody> {
        let (status, code) = match self {
            Self::Unreachable(_) => (StatusCode::BAD_GATEWAY, RpcCode::Unavailable),
            Self::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, RpcCode::DeadlineExceeded),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, RpcCode::Unimplemented),
            Self::Loop => (StatusCode::LOOP_DETECTED, RpcCode::FailedPrecondition),
        };
        tracing::debug!(status = status.as_u16(), error = %self, "request failed");
        answer::error(status, code, &self.to_string())
    }
}
