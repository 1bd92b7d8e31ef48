//! An HTTP/2 client over TLS.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};
use tokio_rustls::TlsConnector;

use super::h2::runtime;

/// Longest time of an exchange.
const LIMIT: Duration = Duration::from_secs(20);

/// An HTTP/2 connection to a server with the name `localhost`.
#[derive(Debug)]
pub(crate) struct TlsHttp2 {
    // Dropped first: the connection lives on the runtime.
    requests: SendRequest<Full<Bytes>>,
    runtime: Runtime,
    server_certificate: Vec<u8>,
}

impl TlsHttp2 {
    /// Connects, and offers HTTP/2 alone.
    pub(crate) fn connect(mut config: ClientConfig, server: SocketAddr) -> io::Result<Self> {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let runtime = runtime();
        let connecting = async {
            let socket = TcpStream::connect(server).await?;
            let name = ServerName::try_from("localhost").expect("a name");
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, socket).await?;
            let shown = stream.get_ref().1.peer_certificates();
            let shown = shown.expect("the handshake is done")[0].to_vec();
            let io = TokioIo::new(stream);
            let (requests, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(connection);
            Ok::<_, io::Error>((requests, shown))
        };
        let (requests, server_certificate) =
            runtime.block_on(async { timeout(LIMIT, connecting).await })??;
        Ok(Self {
            requests,
            runtime,
            server_certificate,
        })
    }

    /// The certificate that the server has shown.
    pub(crate) fn server_certificate(&self) -> &[u8] {
        &self.server_certificate
    }

    /// Posts a body, and returns the status after the whole response has arrived.
    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> io::Result<u16> {
        let request = Request::post(format!("https://localhost{path}"))
            .body(Full::new(Bytes::copy_from_slice(body)))
            .expect("a request");
        let requests = &mut self.requests;
        let exchange = async {
            let response = requests
                .send_request(request)
                .await
                .map_err(io::Error::other)?;
            let status = response.status().as_u16();
            response.collect().await.map_err(io::Error::other)?;
            Ok(status)
        };
        self.runtime
            .block_on(async { timeout(LIMIT, exchange).await })?
    }
}
