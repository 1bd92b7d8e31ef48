//! Uploads profiles to a Pyroscope or to another relay.

use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use pyrotee_net::Address;
use pyrotee_terminal::visible;
use pyrotee_tls::ClientTls;

use super::address::parse_to;
use super::captured::CapturedRequest;
use super::exchange::{BodyError, BoundedResponse, RequestError};
use super::http::{Connections, ExchangeLimits, HttpClient};

/// Most bytes of a response body that are read after a raw request, and shown if the response is a refusal.
const SHOWN_BYTES: usize = 2048;

/// Most bytes of a response body that are read after an upload; a longer body ends the kept connection.
const RESPONSE_BYTES: usize = 64 * 1024;

/// Longest part of a response body in an error, in characters.
const TEXT_CHARS: usize = 256;

/// Uploads to the server that `--to` names.
#[derive(Debug)]
pub struct PyroscopeClient {
    http: Box<HttpClient>,
    limits: ExchangeLimits,
}

/// Why a server did not accept a profile.
#[derive(Debug)]
pub enum UploadError {
    /// The server rejects this profile, and may accept others.
    Rejected(anyhow::Error),
    /// The failure says nothing about this profile: the profile may be sent again.
    Failed(anyhow::Error),
}

impl PyroscopeClient {
    /// A client for `--to` that opens a connection for each raw request, with `timeout` for each upload and
    /// the result of `tls` for the address.
    pub fn new(
        to: &str,
        timeout: Duration,
        tls: impl FnOnce(&Address) -> anyhow::Result<Option<ClientTls>>,
    ) -> anyhow::Result<Self> {
        let address = parse_to(to, "leave them out")?;
        let tls = tls(&address)?;
        let http = HttpClient::new(address, Connections::OnePerRequest, tls.as_ref())?;
        Ok(Self::with(http, timeout, SHOWN_BYTES))
    }

    /// A client for `--to` that keeps its connection for many uploads, with `timeout` for each and the result of
    /// `tls` for the address.
    pub fn kept_alive(
        to: &str,
        timeout: Duration,
        tls: impl FnOnce(&Address) -> anyhow::Result<Option<ClientTls>>,
    ) -> anyhow::Result<Self> {
        let address = parse_to(to, "use a target of a configuration (--config)")?;
        let tls = tls(&address)?;
        let http = HttpClient::new(address, Connections::KeptAlive, tls.as_ref())?;
        Ok(Self::with(http, timeout, RESPONSE_BYTES))
    }

    fn with(http: HttpClient, timeout: Duration, body_bytes: usize) -> Self {
        let limits = ExchangeLimits {
            timeout,
            body_bytes,
        };
        Self {
            http: Box::new(http),
            limits,
        }
    }

    pub fn address(&self) -> &Address {
        self.http.address()
    }

    /// Uploads one profile.
    pub async fn upload(&self, request: Request<Full<Bytes>>) -> Result<(), UploadError> {
        let response = self.http.send(request, self.limits).await;
        let response = response.map_err(|error| UploadError::Failed(error.into()))?;
        let status = response.status;
        if status.is_success() {
            return Ok(());
        }
        let text: String = response.text().trim().chars().take(TEXT_CHARS).collect();
        Err(UploadError::of(
            status,
            anyhow!("{status} {}", visible(&text)),
        ))
    }

    /// Sends a captured request again, unchanged except for `Host` and the path prefix.
    pub async fn upload_captured(&self, request: CapturedRequest) -> Result<(), UploadError> {
        let response = self.send_raw(&request.bytes_for(self.address())).await;
        let response = response.map_err(UploadError::Failed)?;
        if response.status.is_success() {
            return Ok(());
        }
        let text = response.text();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let refusal = self.refusal(&response);
        let refusal = match text.is_empty() {
            true => refusal,
            false => refusal.context(visible(&text)),
        };
        Err(UploadError::of(response.status, refusal))
    }

    /// Sends the bytes of a request unchanged.
    ///
    /// # Errors
    /// There is no response; the text says what to do next.
    pub async fn send_raw(&self, request: &[u8]) -> anyhow::Result<BoundedResponse> {
        let address = self.address();
        let no_response = |error: String| {
            anyhow!(error).context(format!(
                "{address} sent no HTTP/1 response: check --to and the log of the server"
            ))
        };
        match self.http.send_raw(request, self.limits).await {
            Ok(BoundedResponse {
                body_error: Some(BodyError::Broken(error)),
                ..
            }) => Err(no_response(error.to_string())),
            Ok(response) => Ok(response),
            Err(RequestError::Connect(fault)) => Err(anyhow!(fault).context(format!(
                "failed to connect to {address}: is a Pyroscope or a pyrotee listening there?"
            ))),
            Err(RequestError::TimedOut(timeout)) => Err(anyhow!(
                "no complete response from {address} within {}: it hangs or is slow, see its log or raise --timeout",
                humantime::format_duration(timeout)
            )),
            Err(RequestError::Upload { write, read }) => Err(anyhow!(read).context(format!(
                "{address} closed the connection during the upload: {write}"
            ))),
            Err(RequestError::Broken(fault)) => Err(no_response(fault.to_string())),
        }
    }

    /// The error for a response whose status is not a success: the status and what to do next.
    pub fn refusal(&self, response: &BoundedResponse) -> anyhow::Error {
        let (address, status) = (self.address(), response.status);
        anyhow!("{address} answered {status}: {}", next_step(response))
    }
}

impl UploadError {
    fn of(status: StatusCode, error: anyhow::Error) -> Self {
        match rejects_profile(status) {
            true => Self::Rejected(error),
            false => Self::Failed(error),
        }
    }
}

/// Whether a status is about this profile, so that another profile may get another status.
fn rejects_profile(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 413 | 422)
}

fn next_step(response: &BoundedResponse) -> String {
    let step = match response.status.as_u16() {
        300..=399 => match response.location() {
            Some(location) => {
                return format!("it redirects to {}, give that to --to", visible(&location));
            }
            None => "it redirects, find the address behind it and give that to --to",
        },
        400 => {
            "it does not accept the request, mostly for its name: see its text above, try another --name"
        }
        401 | 403 => {
            "it requires credentials: send to a target of a configuration that has them (--target)"
        }
        404 => "no profiles are accepted there: check the path in --to, the path of --as is added",
        405 | 415 => "the server there is not a Pyroscope: check --to",
        408 | 504 => "it waited too long for the upload or for a server behind it: try again",
        413 => "the profile is too large for it: raise its limit or send a smaller file",
        422 => {
            "it does not understand the profile or refuses it as too old: see its text above, check --file"
        }
        429 => "it limits the rate: wait, or raise its ingestion limits",
        502 | 503 => {
            "it, or a server behind it, cannot be reached or is not ready: see its text above, and its log"
        }
        500..=599 => "it failed: see its text above, and its log",
        _ => "a Pyroscope does not send this status: check --to",
    };
    step.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_the_record_is_final() {
        let rejected = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            matches!(
                UploadError::of(status, anyhow!("why")),
                UploadError::Rejected(_)
            )
        };
        assert!([400, 413, 422].into_iter().all(rejected));
        assert!(![401, 404, 408, 429, 500, 503].into_iter().any(rejected));
    }
}
