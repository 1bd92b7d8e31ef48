//! One connection of a client, and the requests on it.

use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use clap::ValueEnum;
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use super::Settings;
use crate::wire::{Bodies, Framing, Look, Wire};

/// How long a client waits for `100 Continue`.
const SOON: Duration = Duration::from_secs(2);

/// How a body is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// With its length
    #[default]
    Length,
    /// In chunks
    Chunked,
    /// With its length, after `100 Continue`
    Expect,
}

impl Style {
    /// The style's name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Chunked => "chunked",
            Self::Expect => "expect",
        }
    }
}

/// A client with one connection, which is opened when it is needed.
#[derive(Debug)]
pub(super) struct Client {
    to: SocketAddr,
    style: Style,
    /// `None` to send without TLS.
    tls: Option<Arc<ClientConfig>>,
    /// Every request has a connection of its own.
    anew: bool,
    bodies: Rc<Bodies>,
    head: Vec<u8>,
    wire: Option<Wire>,
}

impl Client {
    pub(super) fn new(
        settings: &Settings,
        tls: Option<Arc<ClientConfig>>,
        bodies: Rc<Bodies>,
    ) -> Self {
        let (to, style) = (settings.to, settings.style);
        let head = head(to, style, bodies.len());
        Self {
            to,
            style,
            tls,
            anew: settings.anew,
            bodies,
            head,
            wire: None,
        }
    }

    /// Opens the connection before the first request, if the connection is kept.
    pub(super) async fn connect(&mut self) -> io::Result<()> {
        if !self.anew {
            self.wire = Some(Wire::connect(self.to, self.tls.as_ref()).await?);
        }
        Ok(())
    }

    /// Sends a body and waits for the response.
    ///
    /// # Errors
    ///
    /// If the connection cannot be opened or breaks, or the status is not 200.
    pub(super) async fn exchange(&mut self, number: u64) -> io::Result<()> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(self.to, self.tls.as_ref()).await?,
        };
        self.send(&mut wire, number).await?;
        let head = wire.response_head().await?;
        let head = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        if head.framing != Framing::Exactly(0) {
            wire.body(head.framing, Look::Stamp).await?;
        }
        if self.anew {
            wire.close().await?;
        } else if !head.closes {
            self.wire = Some(wire);
        }
        match head.status {
            200 => Ok(()),
            other => Err(io::Error::other(format!("answered {other}"))),
        }
    }

    async fn send(&self, wire: &mut Wire, number: u64) -> io::Result<()> {
        let stamp = self.bodies.stamp(number);
        let rest = self.bodies.rest();
        match self.style {
            Style::Length => wire.send_all(&[&self.head, &stamp, rest]).await,
            Style::Chunked => {
                // Two chunks; the first one ends within the stamp.
                let body = [stamp.as_slice(), rest].concat();
                let (first, second) = body.split_at(body.len().min(5));
                let mut bytes = self.head.clone();
                for chunk in [first, second] {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
                wire.send(&bytes).await
            }
            Style::Expect => {
                wire.send(&self.head).await?;
                let interim = timeout(SOON, wire.interim()).await?;
                match interim? {
                    Some(head) if head.status == 100 => wire.send_all(&[&stamp, rest]).await,
                    other => Err(io::Error::other(format!("no 100 Continue: {other:?}"))),
                }
            }
        }
    }
}

/// The head of a request, as the Go SDK sends it.
fn head(to: SocketAddr, style: Style, length: usize) -> Vec<u8> {
    let framing = match style {
        Style::Length => format!("Content-Length: {length}\r\n"),
        Style::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Style::Expect => format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"),
    };
    let head = format!(
        "POST /ingest?aggregationType=average&from=1795397392000000000\
         &name=bench.golang.app%7B__session_id__%3D77e425ea48b3919f%2Cpod%3Dapi-7d9f-x2x%2Cregion%3Deu-west-1%7D\
         &sampleRate=100&spyName=gospy&units=samples&until=1795397402000000000 HTTP/1.1\r\n\
         Host: {to}\r\n\
         User-Agent: Go-http-client/1.1\r\n\
         {framing}\
         Content-Type: multipart/form-data; boundary=9a03af0b20790659b010918d3d6b337b9764d2bff08a0d5cfddb4ba1336e\r\n\
         Accept-Encoding: gzip\r\n\r\n"
    );
    head.into_bytes()
}
