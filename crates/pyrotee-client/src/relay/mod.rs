//! The client of a running relay's admin API, for the commands that show or change the relay's state.

mod api;

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use pyrotee_net::Address;
use pyrotee_terminal::visible;
use pyrotee_tls::ClientTls;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::address::parse_admin;
use super::exchange::{BoundedResponse, RequestError};
use super::http::{Connections, ExchangeLimits, HttpClient};

/// Limits of a page. With thousands of targets the status page has some megabytes.
const PAGE: ExchangeLimits = ExchangeLimits {
    timeout: Duration::from_secs(5),
    body_bytes: 16 * 1024 * 1024,
};

/// Limits of a captured request, whose length its client chose.
const FILE: ExchangeLimits = ExchangeLimits {
    timeout: Duration::from_secs(600),
    body_bytes: 1 << 30,
};

/// Time limit of a reload: longer than a relay waits for its end, so that the relay's own text is shown.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(35);

/// Longest part of a relay's refusal that an error repeats, in characters.
const LONGEST_REFUSAL: usize = 512;

/// Begin of the response of a listener with TLS to plain HTTP.
const USE_HTTPS: &[u8] = b"this port speaks TLS";

/// Environment variable that holds the `admin-token` of a relay. A flag would show the token to every user who
/// may list processes.
pub const TOKEN: &str = "PYROTEE_ADMIN_TOKEN";

/// A client of the admin listener of one relay.
#[derive(Debug)]
pub struct RelayClient {
    http: Box<HttpClient>,
    token: AdminToken,
    /// Limits of every response except a captured request.
    page: ExchangeLimits,
}

/// The `admin-token` that a relay may require.
#[derive(Debug, Clone, Default)]
pub enum AdminToken {
    /// No token is known.
    #[default]
    Absent,
    Known(SecretString),
    /// The configuration that may hold the token cannot be read.
    Unreadable,
}

/// A JSON document and the value that it was read as.
#[derive(Debug)]
pub struct JsonResponse<T> {
    /// The document as received. Print it with `print_json` only, which escapes control characters.
    pub json: String,
    pub value: T,
}

impl RelayClient {
    /// A client of the relay whose admin listener is at `admin`, with the result of `tls` for this address.
    pub fn at(
        admin: &str,
        tls: impl FnOnce(&Address) -> anyhow::Result<Option<ClientTls>>,
    ) -> anyhow::Result<Self> {
        let address = parse_admin(admin)?;
        let tls = tls(&address)?;
        let http = HttpClient::new(address, Connections::OnePerRequest, tls.as_ref())?;
        Ok(Self {
            http: Box::new(http),
            token: AdminToken::Absent,
            page: PAGE,
        })
    }

    /// Sends a token with every request.
    pub fn with_token(mut self, token: AdminToken) -> Self {
        self.token = token;
        self
    }

    /// Limits the time of each exchange, except for the download of a captured request.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.page.timeout = timeout;
        self
    }

    /// Gets the JSON at `path`, which may have a query.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<JsonResponse<T>> {
        let response = self.exchange(Method::GET, path, Bytes::new(), self.page);
        self.json(&response.await?)
    }

    /// Posts a JSON document, or an empty body, to `path`, which may have a query.
    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        json: impl Into<Bytes>,
    ) -> anyhow::Result<T> {
        let response = self.exchange(Method::POST, path, json.into(), self.page);
        Ok(self.json(&response.await?)?.value)
    }

    /// Gets a page of text, whatever its status.
    async fn text(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let response = self.exchange(Method::GET, path, Bytes::new(), self.page);
        let response = response.await?;
        Ok((response.status, visible(response.text().trim())))
    }

    /// Gets a file that only readers of dead letters may have. Sends `POST`, because older relays accept no
    /// other method for these files.
    async fn file(&self, path: &str) -> anyhow::Result<Bytes> {
        let response = self.exchange(Method::POST, path, Bytes::new(), FILE);
        let response = response.await?;
        self.accepted(&response)?;
        Ok(response.body)
    }

    fn json<T: DeserializeOwned>(
        &self,
        response: &BoundedResponse,
    ) -> anyhow::Result<JsonResponse<T>> {
        self.accepted(response)?;
        let json = str::from_utf8(&response.body).map_err(anyhow::Error::from);
        let read = json.and_then(|json| {
            Ok(JsonResponse {
                value: serde_json::from_str(json)?,
                json: json.to_owned(),
            })
        });
        read.map_err(|error| {
            let (address, error) = (self.http.address(), visible(&error.to_string()));
            anyhow!("this pyrotee cannot read the response of {address} ({error}): is this the `admin` of a pyrotee? (--admin)")
        })
    }

    /// Checks the status: every status except 200 is an error.
    fn accepted(&self, response: &BoundedResponse) -> anyhow::Result<()> {
        let (address, status) = (self.http.address(), response.status);
        match (status, &self.token) {
            (StatusCode::OK, _) => Ok(()),
            (StatusCode::UNAUTHORIZED, AdminToken::Unreadable) => bail!(
                "{address} answered {status}{}; the configuration in the environment may hold the admin-token but has faults: run `pyrotee check`",
                refusal(response)
            ),
            _ => bail!("{address} answered {status}{}", refusal(response)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limits: ExchangeLimits,
    ) -> anyhow::Result<BoundedResponse> {
        let address = self.http.address();
        let asked =
            || format!("request to {address} failed: is this the `admin` of a pyrotee? (--admin)");
        let request = self.request(&method, path, body)?;
        match self.http.send(request, limits).await {
            Ok(BoundedResponse {
                body_error: Some(error),
                ..
            }) => Err(error).with_context(asked),
            Ok(response) => Ok(response),
            Err(RequestError::Connect(fault)) => bail!(
                "failed to reach the admin listener at {address}: {fault}; is the relay running, and is this its `admin`? (--admin)"
            ),
            Err(RequestError::TimedOut(timeout)) => bail!(
                "no response from {address} within {}: see the relay's log, or is this not its `admin`? (--admin)",
                humantime::format_duration(timeout)
            ),
            Err(error) => Err(error).with_context(asked),
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let address = self.http.address();
        let path = PathAndQuery::try_from(format!("{}{path}", address.prefix()))?;
        let mut request = Request::builder()
            .method(method)
            .uri(address.with_path(path))
            .header(HOST, address.authority().as_str())
            .header(USER_AGENT, super::USER_AGENT)
            .header(ACCEPT, "application/json");
        if let AdminToken::Known(token) = &self.token {
            let bearer = format!("Bearer {}", token.expose_secret());
            let mut bearer = HeaderValue::try_from(bearer).map_err(|_| {
                anyhow!("the admin-token ({TOKEN}) has a line break or another control character: remove it")
            })?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        Ok(request.body(Full::new(body))?)
    }
}

/// The end of an error: the text of a relay's refusal, or advice if the response is not from a relay.
fn refusal(response: &BoundedResponse) -> String {
    let error = serde_json::from_slice::<serde_json::Value>(&response.body).ok();
    let error = error.and_then(|json| Some(json.get("error")?.as_str()?.to_owned()));
    match error {
        Some(error) => {
            let error: String = error.chars().take(LONGEST_REFUSAL).collect();
            format!(": {}", visible(&error))
        }
        // The response of a listener with TLS.
        None if response.body.starts_with(USE_HTTPS) => {
            format!(": {}", visible(response.text().trim()))
        }
        None => ": is this the `admin` of a pyrotee, in a version that has this page? (--admin)"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
