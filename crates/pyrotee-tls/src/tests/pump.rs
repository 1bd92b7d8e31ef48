use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::SingleCertAndKey;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, Error, HandshakeKind, ServerConfig,
    ServerConnection,
};

use super::Pair;
use crate::identity::identity;
use crate::{Alpn, ClientTls, HandshakeErrorKind, ServerTls, TlsWords, client_words, provider};

/// How a handshake ended on both sides. An alert after the handshake counts.
pub(super) struct Shaken {
    pub(super) client: Result<(), Error>,
    pub(super) server: Result<(), Error>,
    pub(super) words: Option<TlsWords>,
    pub(super) is_resumed: bool,
    pub(super) alpn: Option<Vec<u8>>,
    /// The certificates that each side saw.
    pub(super) seen_by_client: Vec<CertificateDer<'static>>,
    pub(super) seen_by_server: Vec<CertificateDer<'static>>,
}

impl Shaken {
    #[track_caller]
    pub(super) fn assert_ok(&self) {
        assert_eq!((&self.client, &self.server), (&Ok(()), &Ok(())));
    }

    #[track_caller]
    pub(super) fn text(&self) -> &str {
        &self.words.as_ref().expect("the client saw no error").text
    }

    #[track_caller]
    pub(super) fn remedy(&self) -> &str {
        self.words.as_ref().expect("the client saw no error").remedy
    }

    /// The kind of the server's error.
    #[track_caller]
    pub(super) fn kind(&self) -> HandshakeErrorKind {
        let error = self.server.clone().unwrap_err();
        HandshakeErrorKind::of(&io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// A handshake of a client that connects to `host`.
pub(super) fn shake(client: &ClientTls, host: &str, server: &ServerTls) -> Shaken {
    shake_as(client, client.config(Alpn::Http1), host, server.config())
}

/// The same with other configurations. The words are those of `client`.
pub(super) fn shake_as(
    client: &ClientTls,
    config: Arc<ClientConfig>,
    host: &str,
    server_config: Arc<ServerConfig>,
) -> Shaken {
    let name = client.server_name(host).unwrap();
    let mut near = ClientConnection::new(config, name).unwrap();
    let mut far = ServerConnection::new(server_config).unwrap();
    let (mut client_result, mut server_result) = (Ok(()), Ok(()));
    for _ in 0..10 {
        pass(&mut near, &mut far, &mut server_result);
        pass(&mut far, &mut near, &mut client_result);
    }
    let error = client_result.clone().err();
    // As hyper and tokio-rustls wrap it.
    let words = error.and_then(|error| {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        client_words(&error, client.context())
    });
    let seen = |list: Option<&[CertificateDer<'static>]>| list.unwrap_or_default().to_vec();
    Shaken {
        client: client_result,
        server: server_result,
        words,
        is_resumed: near.handshake_kind() == Some(HandshakeKind::Resumed),
        alpn: near.alpn_protocol().map(<[u8]>::to_vec),
        seen_by_client: seen(near.peer_certificates()),
        seen_by_server: seen(far.peer_certificates()),
    }
}

/// Passes what one side has written to the other. The first error of the receiver stays.
fn pass<A, B>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
    result: &mut Result<(), Error>,
) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() && result.is_ok() {
        to.read_tls(&mut rest).unwrap();
        *result = to.process_new_packets().map(|_| ());
    }
}

/// A server that speaks one version of TLS.
pub(super) fn of_version(
    pair: &Pair,
    version: &'static rustls::SupportedProtocolVersion,
) -> ServerConfig {
    let identity = identity(&pair.identity(), &provider()).unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0)))
}
