//! What the commands ask other servers with: HTTP clients, and how text from the network is printed.
//!
//! `HttpClient` exchanges requests with one server: a deadline, a limit for the response, and errors by their
//! kind. [`RelayClient`] asks a relay through its admin listener, [`PyroscopeClient`] uploads profiles.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod address;
mod captured;
mod exchange;
mod http;
mod pyroscope;
mod raw;
mod relay;
mod visible;

pub use captured::CapturedRequest;
pub use exchange::BoundedResponse;
pub use pyroscope::{PyroscopeClient, UploadError};
pub use relay::{ADMIN, AdminArgs, AdminToken, JsonResponse, LOCAL, RelayClient, TOKEN};
pub use visible::{visible, visible_json};

/// Value of `User-Agent` in the requests of commands.
pub const USER_AGENT: &str = concat!("pyrotee/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
