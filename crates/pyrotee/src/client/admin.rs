//! Asks a running relay through its admin listener, for the commands that show or change something.

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, StatusCode};
use pyrotee_net::{Address, Connector, Resolver, Tls};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::build_info::VERSION;
use crate::terminal::visible;

/// What an answer may take: thousands of targets are some megabytes.
const PAGE: Allowance = Allowance {
    time: Duration::from_secs(5),
    bytes: 16 * 1024 * 1024,
};

/// What a file may take, which is no page: it is as long as it is.
const FILE: Allowance = Allowance {
    time: Duration::from_secs(60),
    bytes: 1 << 30,
};

/// Longest part of a refusal that is repeated, in characters.
const LONGEST_REFUSAL: usize = 512;

/// Holds what is shown as `admin-token` to a relay on another machine. A flag would show it to all
/// who may list processes.
const TOKEN: &str = "PYROTEE_ADMIN_TOKEN";

/// The variable that names a relay.
pub(crate) const ADMIN: &str = "PYROTEE_ADMIN";

/// Without another word the relay of this machine is meant.
pub(crate) const LOCAL: &str = "127.0.0.1:4041";

/// What an answer may take.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// For all of the exchange, from connecting to the end of the answer.
    time: Duration,
    bytes: usize,
}

/// Where the relay is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AdminArgs {
    /// The relay's `admin`: :PORT on this machine, HOST:PORT or http://HOST:PORT
    #[arg(
        long,
        value_name = "ADDR",
        env = ADMIN,
        default_value = LOCAL
    )]
    pub(crate) admin: String,
}

/// A relay to ask.
#[derive(Debug)]
pub(crate) struct Relay {
    connector: Connector,
    address: Address,
    token: Option<SecretString>,
    /// What the answer to anything but a file may take.
    page: Allowance,
}

/// What it said.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    /// As it came. It goes to a terminal by `print_json` only.
    pub(crate) json: String,
    pub(crate) value: T,
}

impl Relay {
    /// The relay whose admin listener is at `admin`.
    pub(crate) fn at(admin: &str) -> anyhow::Result<Self> {
        Ok(Self {
            address: address(admin)?,
            connector: Connector::new(&Resolver::system()?, &Tls::system()?),
            token: std::env::var(TOKEN).ok().map(SecretString::from),
            page: PAGE,
        })
    }

    /// The same relay, which has this long for one exchange.
    pub(crate) fn within(self, timeout: Duration) -> Self {
        let page = Allowance {
            time: timeout,
            ..self.page
        };
        Self { page, ..self }
    }

    /// Gets the JSON at `path`, which may have a query.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Answer<T>> {
        let (status, body) = self.ask(Method::GET, path, Bytes::new()).await?;
        self.read(status, &body)
    }

    /// Has something changed: `path` may have a query, `json` is empty or a JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        json: impl Into<Bytes>,
    ) -> anyhow::Result<Answer<T>> {
        let (status, body) = self.ask(Method::POST, path, json.into()).await?;
        self.read(status, &body)
    }

    /// The status of a page that is no JSON, and its text.
    pub(crate) async fn probe(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let (status, body) = self.ask(Method::GET, path, Bytes::new()).await?;
        Ok((status, visible(String::from_utf8_lossy(&body).trim())))
    }

    /// Gets a file that only those may have who may change something.
    pub(crate) async fn fetch(&self, path: &str) -> anyhow::Result<Bytes> {
        let asked = self.exchange_within(FILE, Method::POST, path, Bytes::new());
        let (status, body) = asked.await?;
        if status != StatusCode::OK {
            bail!(
                "{} answered {status}{}",
                self.address,
                refusal(status, &body)
            );
        }
        Ok(body)
    }

    fn read<T: DeserializeOwned>(
        &self,
        status: StatusCode,
        body: &Bytes,
    ) -> anyhow::Result<Answer<T>> {
        let address = &self.address;
        if status != StatusCode::OK {
            bail!("{address} answered {status}{}", refusal(status, body));
        }
        let json = str::from_utf8(body).map_err(anyhow::Error::from);
        let read = json.and_then(|json| {
            Ok(Answer {
                value: serde_json::from_str(json)?,
                json: json.to_owned(),
            })
        });
        read.map_err(|error| {
            let error = visible(&error.to_string());
            anyhow!("what {address} answered is not what this pyrotee knows ({error}): is this the `admin` of one? (--admin)")
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        self.exchange_within(self.page, method, path, body).await
    }

    async fn exchange_within(
        &self,
        allowance: Allowance,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let address = &self.address;
        let exchange = self.exchange(allowance.bytes, method, path, body);
        match tokio::time::timeout(allowance.time, exchange).await {
            Ok(asked) => asked,
            Err(_) => bail!(
                "no answer from {address} within {}: see the relay's log, or is this not its `admin`? (--admin)",
                humantime::format_duration(allowance.time)
            ),
        }
    }

    async fn exchange(
        &self,
        longest: usize,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let address = &self.address;
        let connected = self.connector.open(address.origin()).await;
        let io = connected.map_err(|error| {
            anyhow!("failed to reach the admin listener at {address}: {error}; is the relay running, and is this its `admin`? (--admin)")
        })?;
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("{}{path}", address.prefix()))
            .header(HOST, address.authority().as_str())
            .header(USER_AGENT, format!("pyrotee/{VERSION}"))
            .header(ACCEPT, "application/json");
        // Only where it is asked for.
        if let (Some(token), true) = (&self.token, method == Method::POST) {
            let bearer = format!("Bearer {}", token.expose_secret());
            let mut bearer = http::HeaderValue::try_from(bearer).map_err(|_| {
                anyhow!("{TOKEN} has a line break or another control character: remove it")
            })?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        send(io, request.body(Full::new(body))?, longest)
            .await
            .with_context(|| {
                format!("failed to ask {address}: is this the `admin` of a pyrotee? (--admin)")
            })
    }
}

async fn send(
    io: impl Read + Write + Unpin,
    request: Request<Full<Bytes>>,
    longest: usize,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(io).await?;
    #[expect(clippy::disallowed_methods, reason = "it is limited")]
    let answering = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), longest).collect().await;
        let body = body.map_err(|error| anyhow!(error))?.to_bytes();
        anyhow::Ok((status, body))
    };
    // The connection ends with the sender, which goes when there is an answer.
    let (answer, _ended) = tokio::join!(answering, connection);
    answer
}

/// What a relay says with a refusal, or what to look at if it was none of a relay.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let error = serde_json::from_slice::<serde_json::Value>(body).ok();
    let error = error.and_then(|json| Some(json.get("error")?.as_str()?.to_owned()));
    match error {
        Some(error) => {
            let token = match status {
                StatusCode::UNAUTHORIZED => format!(" ({TOKEN})"),
                _ => String::new(),
            };
            let error: String = error.chars().take(LONGEST_REFUSAL).collect();
            format!(": {}{token}", visible(&error))
        }
        None => ": is this the `admin` of a pyrotee, and of one that knows this page? (--admin)"
            .to_owned(),
    }
}

/// Reads `:PORT`, `HOST:PORT` or a whole address.
fn address(admin: &str) -> anyhow::Result<Address> {
    let admin = admin.trim();
    let written = match admin {
        whole if whole.contains("://") => whole.to_owned(),
        port if port.starts_with(':') => format!("http://127.0.0.1{port}"),
        place => {
            ensure!(
                place.contains(':'),
                "--admin has no port; write :PORT, HOST:PORT or http://HOST:PORT"
            );
            format!("http://{place}")
        }
    };
    let parsed = Address::parse(&written).map_err(|error| anyhow!("--admin {error}"))?;
    ensure!(
        parsed.userinfo.is_none(),
        "--admin has credentials, which are not sent: leave them out"
    );
    Ok(parsed.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_as_short_as_in_the_configuration() {
        for (text, read) in [
            (":4041", "http://127.0.0.1:4041"),
            ("127.0.0.1:4041", "http://127.0.0.1:4041"),
            ("[::1]:4041", "http://[::1]:4041"),
            ("relay.internal:80", "http://relay.internal:80"),
            ("http://relay:4041", "http://relay:4041"),
            ("https://relay/base", "https://relay/base"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), read, "{text}");
        }
    }

    #[test]
    fn an_address_that_is_none_says_how_to_write_one() {
        for text in ["", "4041", "localhost", ":port", "ftp://relay:1", "http://"] {
            let error = address(text).unwrap_err().to_string();
            assert!(error.starts_with("--admin "), "{text}: {error}");
            assert!(error.contains("write "), "{text}: {error}");
        }
        let error = address("http://me:secret@relay:4041").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
