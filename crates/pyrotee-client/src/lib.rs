//! HTTP clients with which the commands call other servers.
//!
//! `HttpClient` sends requests to one server, with a deadline and a limit for the response body, and tells the
//! kinds of failure apart. [`RelayClient`] calls the admin API of a relay, [`PyroscopeClient`] uploads
//! profiles.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod address;
mod body_digest;
mod captured;
mod exchange;
mod http;
mod profile_line;
mod push_body;
mod pyroscope;
mod raw;
mod relay;

pub use body_digest::{BodyDigest, BodyHasher};
pub use captured::CapturedRequest;
pub use exchange::BoundedResponse;
pub use profile_line::{LineFormat, ProfileLine, RequestEnd};
pub use push_body::push_body;
pub use pyroscope::{PyroscopeClient, UploadError};
pub use relay::{AdminToken, JsonResponse, RelayClient, TOKEN};

/// Value of `User-Agent` in the requests of commands.
pub const USER_AGENT: &str = concat!("pyrotee/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
