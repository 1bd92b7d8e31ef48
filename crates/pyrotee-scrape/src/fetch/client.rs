//! The client of a job: one pool of connections, its TLS and its credentials.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pyrotee_net::{Connector, ExchangeError};
use pyrotee_scrape_config::HttpClientSettings;

use super::FetchError;
use super::redirect::redirected;

/// `User-Agent` of all requests.
pub(crate) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("pyrotee/", env!("CARGO_PKG_VERSION")));

/// How long an idle connection is kept, as in Pyroscope 0.37.
const IDLE: Duration = Duration::from_secs(300);

/// Most redirects of one request, as in Go.
const MAX_REDIRECTS: usize = 10;

/// Longest text of an error response that is shown, in bytes.
const MAX_TEXT: usize = 160;

/// Sends GET requests with the TLS and the credentials of a job or a discovery. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: legacy::Client<Connector, Empty<Bytes>>,
    authorization: Option<HeaderValue>,
    follows_redirects: bool,
}

impl Client {
    /// `connector` is the template; `settings.tls` replaces its TLS.
    pub(crate) fn new(connector: &Connector, settings: &HttpClientSettings) -> Self {
        let connector = match &settings.tls {
            Some(tls) => connector.with_tls(tls.clone()),
            None => connector.clone(),
        };
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self {
            http,
            authorization: settings.authorization.clone(),
            follows_redirects: settings.follow_redirects,
        }
    }

    /// Sends a GET request with `headers`, follows redirects to the same host, and returns a response with status 200.
    /// The caller limits the time.
    ///
    /// # Errors
    /// There is no response, its status is another one, or it redirects elsewhere.
    pub(crate) async fn get(
        &self,
        url: &Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, FetchError> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.exchange(url, &at, headers).await?;
            let status = response.status();
            if status == StatusCode::OK {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION);
            match location {
                Some(location) if self.follows_redirects && is_redirect(status) => {
                    at = redirected(&at, location)?;
                }
                _ => {
                    let text = explanation(response.into_body()).await;
                    return Err(FetchError::Status { status, text });
                }
            }
        }
        Err(FetchError::Redirect {
            to: at.to_string(),
            problem: "there were ten before",
        })
    }

    /// Sends one request; once more if a kept connection was stale, because the server has not received the request.
    async fn exchange(
        &self,
        first: &Uri,
        at: &Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, FetchError> {
        let is_same_origin = first.scheme() == at.scheme() && first.authority() == at.authority();
        let authorization = self.authorization.as_ref().filter(|_| is_same_origin);
        let send = || {
            let mut request = Request::new(Empty::new());
            *request.uri_mut() = at.clone();
            request.headers_mut().extend(headers.clone());
            request.headers_mut().insert(USER_AGENT, AGENT);
            if let Some(authorization) = authorization {
                let headers = request.headers_mut();
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            self.http.request(request)
        };
        let error = match send().await {
            Ok(response) => return Ok(response),
            Err(error) => ExchangeError::pooled(&error, true),
        };
        if !error.is_stale() {
            return Err(FetchError::Exchange(error));
        }
        send()
            .await
            .map_err(|error| FetchError::Exchange(ExchangeError::pooled(&error, true)))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The first line of an error response that is plain text, in quotes.
async fn explanation(mut body: Incoming) -> String {
    // One frame is enough, and the whole body may be endless.
    let first = tokio::time::timeout(Duration::from_secs(1), body.frame()).await;
    let data = match first {
        Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => return String::new(),
    };
    let text = String::from_utf8_lossy(data.get(..MAX_TEXT).unwrap_or(&data)).into_owned();
    let line = text.lines().next().unwrap_or_default().trim();
    let is_text = !line.is_empty() && !line.starts_with(['<', '{', '[']);
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    match is_text {
        true => format!(" ({line:?})"),
        false => String::new(),
    }
}
