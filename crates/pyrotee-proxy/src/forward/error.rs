//! Why the upstream's answer did not come.

use std::time::Duration;

use http::{Response, StatusCode};
use pyroscope_wire::answer::Code;
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
}

impl ForwardError {
    pub(super) fn kind(&self) -> FaultKind {
        match self {
            Self::Unreachable(fault) => fault.kind(),
            Self::Timeout(_) => FaultKind::Timeout,
            Self::Unsupported => FaultKind::Reset,
        }
    }

    /// What the client is told. The one place where an error becomes an answer.
    pub(crate) fn into_response(self) -> Response<OwnBody> {
        let (status, code) = match self {
            Self::Unreachable(_) => (StatusCode::BAD_GATEWAY, Code::Unavailable),
            Self::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented),
        };
        tracing::debug!(status = status.as_u16(), error = %self, "request failed");
        answer::error(status, code, &self.to_string())
    }
}
