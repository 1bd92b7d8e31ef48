//! Gets the status from a relay.

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode};
use pyrotee_net::{Address, Connector, Fault, Resolver, Tls};
use tower::ServiceExt as _;

use super::page::{PATH, Page};
use crate::build_info::VERSION;
use crate::sink::visible;

/// For all of it, from connecting to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer: thousands of targets.
const LONGEST: usize = 16 * 1024 * 1024;

/// A relay to ask.
#[derive(Debug)]
pub(super) struct Relay {
    connector: Connector,
    address: Address,
}

/// What it said.
#[derive(Debug)]
pub(super) struct Answer {
    /// As it came, but nothing in it moves a terminal's cursor.
    pub(super) json: String,
    pub(super) page: Page,
}

impl Relay {
    /// The relay whose admin listener is at `admin`.
    pub(super) fn at(admin: &str) -> anyhow::Result<Self> {
        Ok(Self {
            address: address(admin)?,
            connector: Connector::new(&Resolver::system()?, &Tls::system()?),
        })
    }

    pub(super) async fn ask(&self) -> anyhow::Result<Answer> {
        let address = &self.address;
        let Ok(asked) = tokio::time::timeout(TIMEOUT, self.get()).await else {
            bail!(
                "no answer from {address} within {}: see the relay's log, or is this not its `admin`? (--admin)",
                humantime::format_duration(TIMEOUT)
            );
        };
        let (status, body) = asked?;
        ensure!(
            status == StatusCode::OK,
            "{address} answered {status}: is this the `admin` of a pyrotee, and of one that has a status page? (--admin)"
        );
        let json = String::from_utf8(body.into());
        let read = json.map_err(anyhow::Error::from).and_then(|json| {
            let page = serde_json::from_str(&json)?;
            let json = inert(&json);
            Ok(Answer { json, page })
        });
        read.map_err(|error| {
            let error = visible(&error.to_string());
            anyhow!("what {address} answered is no status of a pyrotee ({error}): is this its `admin`? (--admin)")
        })
    }

    async fn get(&self) -> anyhow::Result<(StatusCode, Bytes)> {
        let address = &self.address;
        let connected = self.connector.clone().oneshot(address.origin()).await;
        let io = connected.map_err(|error| {
            let error = Fault::connect(&*error);
            anyhow!("failed to reach the admin listener at {address}: {error}; is the relay running, and is this its `admin`? (--admin)")
        })?;
        exchange(io, address).await.with_context(|| {
            format!("failed to ask {address}: is this the `admin` of a pyrotee? (--admin)")
        })
    }
}

async fn exchange(
    io: impl Read + Write + Unpin,
    address: &Address,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(io).await?;
    let request = Request::get(format!("{}{PATH}", address.prefix()))
        .header(HOST, address.authority().as_str())
        .header(USER_AGENT, format!("pyrotee/{VERSION}"))
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())?;
    #[expect(clippy::disallowed_methods, reason = "it is limited")]
    let answering = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| anyhow!(error))?.to_bytes();
        anyhow::Ok((status, body))
    };
    // The connection ends with the sender, which goes when there is an answer.
    let (answer, _ended) = tokio::join!(answering, connection);
    answer
}

/// Reads `:PORT`, `HOST:PORT` or a whole address.
pub(super) fn address(admin: &str) -> anyhow::Result<Address> {
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

/// The same JSON without characters that a terminal would obey. Those of ASCII are escaped in every
/// JSON but for white space; the others may stand in a text as they are.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\r' | '\t' => out.push(' '),
            '\x7f'..='\u{9f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            other => out.push(other),
        }
    }
    out
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

    #[test]
    fn json_is_the_same_but_for_what_a_terminal_obeys() {
        let json = "{\"text\":\r\n\t\"a\u{9b}2J \u{7f} größer\"}\n";
        let inert = inert(json);
        assert!(!inert.contains(|c: char| c.is_control() && c != '\n'));
        let read = |json| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&inert), read(json));
    }
}
