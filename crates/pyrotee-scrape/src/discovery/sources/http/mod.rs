//! Asks the server of an entry of `http-sd-configs`.

use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use pyroscope_wire::scrape::Group;
use pyrotee_net::Connector;
use pyrotee_scrape_config::HttpDiscovery;
use tokio::time::{sleep, timeout};

use super::Reporter;
use crate::discovery::document::{MAX_BYTES, Syntax, groups};
use crate::fetch::{Client, FetchError, Room, read_within};

/// Tells the server how often it is asked.
const REFRESH_INTERVAL: HeaderName =
    HeaderName::from_static("x-pyroscope-refresh-interval-seconds");

const JSON: &str = "application/json";

/// Longest time for one request, even if the interval is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// An entry of `http-sd-configs`. Its server is the operator's word: every address may have it.
#[derive(Debug)]
pub(in crate::discovery) struct HttpSource {
    client: Client,
    url: Uri,
    headers: HeaderMap,
    interval: Duration,
    /// The URL as it is shown.
    shown: String,
}

impl HttpSource {
    pub(in crate::discovery) fn new(discovery: &HttpDiscovery, connector: &Connector) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        let seconds = discovery.interval.as_secs_f64().to_string();
        if let Ok(seconds) = HeaderValue::try_from(seconds) {
            headers.insert(REFRESH_INTERVAL, seconds);
        }
        Self {
            client: Client::new(connector, &discovery.client),
            url: discovery.url.clone(),
            headers,
            interval: discovery.interval,
            shown: shown(&discovery.url),
        }
    }

    /// Reports the groups of the server at once, and then each interval. A server that fails keeps its groups.
    pub(in crate::discovery) async fn follow(self, mut reporter: Reporter) {
        loop {
            match self.ask().await {
                Ok(groups) => reporter.report(Some(groups), None, 0).await,
                Err(error) => {
                    let error = format!("cannot use the list of {}: {error}", self.shown);
                    reporter.report(None, Some(error), 1).await;
                }
            }
            // Relays that started together do not ask together for ever.
            sleep(self.interval.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        }
    }

    /// # Errors
    /// Why there is no list of groups.
    async fn ask(&self) -> Result<Vec<Group>, String> {
        let limit = self.interval.min(LONGEST);
        match timeout(limit, self.exchange()).await {
            Ok(result) => result,
            Err(_elapsed) => Err(format!(
                "the response took longer than {limit:?}: check the load of the server, or raise refresh-interval"
            )),
        }
    }

    async fn exchange(&self) -> Result<Vec<Group>, String> {
        let response = self.client.get(&self.url, &self.headers).await;
        let response = response.map_err(|error| words(&error))?;
        let content_type = response.headers().get(CONTENT_TYPE);
        if !content_type.is_some_and(is_json) {
            return Err(format!("the Content-Type of the response is not {JSON}"));
        }
        let room = Room {
            limit_bytes: MAX_BYTES,
            remedy: "split the list, and write each URL into http-sd-configs",
            place: None,
            memory: None,
        };
        let body = read_within(response.into_body(), room).await;
        let body = body.map_err(|error| words(&error))?;
        groups(&body, Syntax::Json, ("__meta_url", &self.shown))
    }
}

fn is_json(value: &HeaderValue) -> bool {
    let essence = value.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|it| it.trim().eq_ignore_ascii_case(JSON))
}

/// An error in words for a server of lists: the remedies of a status are those for an application.
fn words(error: &FetchError) -> String {
    match error {
        FetchError::Status { status, text } => {
            format!("the response has status {status}{text}: look at the log of the server")
        }
        other => other.to_string(),
    }
}

/// A URL without user and query, which may have secrets.
fn shown(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("http");
    let host = url.host().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |it| format!(":{it}"));
    format!("{scheme}://{host}{port}{}", url.path())
}

#[cfg(test)]
mod tests;
