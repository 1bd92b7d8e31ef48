//! Why a request to a scrape target or to a discovery server failed.

use std::time::Duration;

use http::StatusCode;
use pyrotee_net::ExchangeError;

/// A request failed. `Display` says what failed and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{0}: {remedy}", remedy = .0.remedy())]
    Exchange(ExchangeError),
    #[error("the response has status {status}{text}: {remedy}", remedy = status_remedy(*status))]
    Status {
        status: StatusCode,
        /// The start of a text that explains the status, in quotes.
        text: String,
    },
    #[error("the redirect to {to} is not followed: {problem}")]
    Redirect { to: String, problem: &'static str },
    #[error("the body is longer than {limit_bytes} bytes: {remedy}")]
    TooLarge {
        limit_bytes: u64,
        remedy: &'static str,
    },
    #[error(
        "memory-limit has no room for the body: raise memory-limit, or lower scrape.max-concurrent"
    )]
    NoMemory,
}

impl FetchError {
    /// The connection broke while the body was received.
    pub(super) fn broken_body(error: &hyper::Error) -> Self {
        let text = format!("the connection broke within the body: {error}");
        Self::Exchange(ExchangeError::reset(text))
    }

    /// The whole request took longer than its limit. `has_head`: the body had begun.
    pub(crate) fn timeout(limit: Duration, has_head: bool) -> Self {
        let text = match has_head {
            true => format!("the body did not end within {limit:?}"),
            false => format!("no response within {limit:?}"),
        };
        Self::Exchange(ExchangeError::timeout(text, false))
    }
}

/// What an operator does about a status.
fn status_remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => {
            "check the parameters of the profile, and that the server's write timeout is longer than seconds"
        }
        401 | 403 => "check the credentials of the job",
        404 => "check the path: net/http/pprof is not registered there",
        500 => "look at the application's log: another profiler may use the CPU profile",
        301..=399 => "write the address to which it redirects, or set follow-redirects",
        _ => "look at the application's log",
    }
}
