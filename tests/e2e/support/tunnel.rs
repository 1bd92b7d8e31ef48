//! TLS for clients that speak none: a port whose connections go to a TLS port.

use std::{net::SocketAddr, sync::Arc, thread};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{self, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::TlsConnector;

use super::h2::runtime;

/// A port without TLS in front of a TLS port of `localhost`; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Tunnel {
    address: SocketAddr,
    /// Dropping this ends the tunnel.
    _stop: oneshot::Sender<()>,
}

impl Tunnel {
    /// A tunnel to `server`, with `protocols` as ALPN.
    pub(crate) fn to(server: SocketAddr, mut config: ClientConfig, protocols: &[&[u8]]) -> Self {
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has one");
        listener
            .set_nonblocking(true)
            .expect("a listener can be non-blocking");
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            runtime().block_on(async {
                let listener = TcpListener::from_std(listener).expect("it is non-blocking");
                tokio::spawn(accept(listener, server, Arc::new(config)));
                // The end of the runtime ends every task on it.
                drop(stopped.await);
            });
        });
        Self {
            address,
            _stop: stop,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, config: Arc<ClientConfig>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        // An error is the end of this connection, and the client sees it.
        let connector = TlsConnector::from(Arc::clone(&config));
        tokio::spawn(async move { drop(pass(client, server, connector).await) });
    }
}

async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    connector: TlsConnector,
) -> io::Result<()> {
    let socket = TcpStream::connect(server).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut server = connector.connect(name, socket).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
