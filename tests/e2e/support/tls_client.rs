//! Clients of a relay that speak TLS: each failure is an error that a test can look at.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, HandshakeKind, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use super::{
    client::{Request, Response},
    wire::{Body, Framing, Head},
};

/// Longest wait for a read or a write.
const LIMIT: Duration = Duration::from_secs(20);

/// Makes connections to a server with the name `localhost`, unless a test asks for another name. Clones share their
/// sessions.
#[derive(Clone, Debug)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    name: &'static str,
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct TlsConnection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsClient {
    pub(crate) fn new(config: ClientConfig) -> Self {
        let config = Arc::new(config);
        let name = "localhost";
        Self { config, name }
    }

    /// Expects another name in the server's certificate.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Connects, and makes the handshake. In TLS 1.3 a server that refuses the client's certificate says so later.
    pub(crate) fn connect(&self, server: SocketAddr) -> io::Result<TlsConnection> {
        let mut socket = TcpStream::connect_timeout(&server, LIMIT)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(self.name).expect("a name");
        let mut tls = ClientConnection::new(Arc::clone(&self.config), name)
            .expect("the configuration was checked");
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let stream = BufReader::new(StreamOwned::new(tls, socket));
        Ok(TlsConnection { stream })
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn send(&self, server: SocketAddr, request: &Request) -> io::Result<Response> {
        self.connect(server)?.exchange(request)
    }
}

impl TlsConnection {
    /// The certificate that the server has shown; of a resumed session, the one that it showed first.
    pub(crate) fn server_certificate(&self) -> Vec<u8> {
        let shown = self.stream.get_ref().conn.peer_certificates();
        shown.expect("the handshake is done")[0].to_vec()
    }

    /// Whether the handshake resumed a session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.get_ref().conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Sends a request other than `HEAD`, and reads the response.
    pub(crate) fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        // The server may have refused and closed: what it said decides.
        let stream = self.stream.get_mut();
        drop(
            stream
                .write_all(&request.bytes())
                .and_then(|()| stream.flush()),
        );
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read_until(b'\n', &mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = Head::new(&head);
        let mut data = Vec::new();
        match head.answer_framing("GET") {
            Framing::Length(length) => {
                data.resize(usize::try_from(length).expect("a small body"), 0);
                self.stream.read_exact(&mut data)?;
            }
            Framing::UntilClose => drop(self.stream.read_to_end(&mut data)?),
            Framing::Chunked => panic!("this client reads no chunks: {head:?}"),
        }
        let body = Body {
            data,
            complete: true,
            ..Body::default()
        };
        Ok(Response { head, body })
    }
}

/// The alert by which a server ended a connection.
pub(crate) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// The first certificate of a PEM file, in DER.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
    certificate.expect("the PEM was made by the test").to_vec()
}
