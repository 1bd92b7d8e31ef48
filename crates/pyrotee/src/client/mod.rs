//! HTTP clients of the commands.
//!
//! [`http::HttpClient`] exchanges requests with one server: a deadline, a limit for the response, and errors by their
//! kind. [`RelayClient`] asks a relay through its admin listener, [`PyroscopeClient`] uploads profiles.

mod address;
mod captured;
mod http;
mod pyroscope;
mod raw;
mod relay;

pub(crate) use captured::CapturedRequest;
pub(crate) use http::BoundedResponse;
pub(crate) use pyroscope::{PyroscopeClient, UploadError};
pub(crate) use relay::{ADMIN, AdminArgs, JsonResponse, LOCAL, RelayClient};

/// Value of `User-Agent` in the requests of commands.
pub(crate) const USER_AGENT: &str = concat!("pyrotee/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
