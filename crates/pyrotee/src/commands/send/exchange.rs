//! One request over one connection, written as given.

use std::pin::pin;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_ENCODING, LOCATION};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use pyrotee_net::{Address, Connector};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tower::ServiceExt as _;

/// How much of a refusal is shown, in bytes.
const SHOWN: usize = 2048;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    /// The first 2 KiB of the body.
    pub(super) text: String,
}

/// Sends the bytes of a request and reads the answer; the caller limits the time.
///
/// hyper cannot write a request byte for byte, so it only reads: what it writes itself (a stand-in
/// for the request, so that it expects an answer) goes nowhere.
pub(super) async fn exchange(
    connector: &Connector,
    address: &Address,
    request: &[u8],
) -> anyhow::Result<Answer> {
    let (answered, mut sending) = tokio::io::split(connect(connector, address).await?);
    let io = TokioIo::new(tokio::io::join(answered, tokio::io::sink()));
    let (mut sender, connection) = http1::handshake(io)
        .await
        .context("failed to begin reading the answer")?;

    let stand_in = Request::new(Empty::<Bytes>::new());
    let mut answer = pin!(read(sender.send_request(stand_in)));
    let mut connection = pin!(connection);
    let mut writing = pin!(async {
        sending.write_all(request).await?;
        sending.flush().await
    });
    let (mut open, mut written) = (true, None);
    loop {
        // In this order: hyper must have "written" before the server can have answered. An answer
        // may come before all is written, and is then the one that counts.
        tokio::select! {
            biased;
            _ = &mut connection, if open => open = false,
            result = &mut answer => return result.with_context(|| match written {
                Some(Err(error)) => format!("{address} closed the connection during the upload: {error}"),
                _ => format!("{address} gave no answer of HTTP/1: check --to and its log"),
            }),
            result = &mut writing, if written.is_none() => written = Some(result),
        }
    }
}

async fn connect(
    connector: &Connector,
    address: &Address,
) -> anyhow::Result<impl AsyncRead + AsyncWrite + use<>> {
    let connected = connector.clone().oneshot(address.origin()).await;
    let io = connected.map_err(|error| anyhow!(error)).with_context(|| {
        format!("failed to connect to {address}: is a Pyroscope or a pyrotee listening there?")
    })?;
    Ok(io.into_inner())
}

async fn read(
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> anyhow::Result<Answer> {
    let (head, mut body) = response.await?.into_parts();
    let header = |name| {
        head.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    let location = header(LOCATION).map(Into::into);
    let encoded = header(CONTENT_ENCODING).map(|coding| format!("(a text encoded with {coding})"));

    let mut shown = Vec::new();
    while shown.len() < SHOWN
        && let Some(frame) = body.frame().await
    {
        if let Some(data) = frame?.data_ref() {
            let room = SHOWN - shown.len();
            shown.extend(data.iter().take(room));
        }
    }
    let text = encoded.unwrap_or_else(|| String::from_utf8_lossy(&shown).into_owned());
    Ok(Answer {
        status: head.status,
        location,
        text,
    })
}
