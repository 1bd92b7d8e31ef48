//! The yardstick: a minimal forwarder on hyper that puts copies of requests into bounded queues.
//!
//! The bare forwarder has no tags, no accounts, no retries, and no limits except the length of its queues. The cost of
//! the relay above this yardstick is the cost of the relay's features.

mod forward;
mod mirror;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use clap::Args;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::child::say;
use forward::forward;
use mirror::Mirror;

/// The arguments of `pyrotee-bench bare`.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// Address that receives every request
    #[arg(long)]
    upstream: SocketAddr,
    /// Address that receives a copy of every request; may be repeated
    #[arg(long)]
    mirror: Vec<SocketAddr>,
}

/// The first line that the bare forwarder prints.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Listening {
    pub(crate) listening: SocketAddr,
}

/// Forwards requests until the process is killed.
pub(crate) async fn serve(settings: Settings) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&Listening {
        listening: listener.local_addr()?,
    })?;
    let mirrors: Arc<[Mirror]> = settings
        .mirror
        .iter()
        .map(|to| Mirror::start(*to))
        .collect();
    let client: Client<HttpConnector, _> = client();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, mirrors) = (client.clone(), Arc::clone(&mirrors));
        let service = service_fn(move |request| {
            let (client, mirrors) = (client.clone(), Arc::clone(&mirrors));
            let upstream = settings.upstream;
            async move { Ok::<_, Infallible>(forward(request, upstream, client, mirrors).await) }
        });
        let mut server = http1::Builder::new();
        // The value of the relay: with hyper's default an uploading connection takes 0.6 MB.
        server.max_buf_size(64 * 1024);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

fn client<B>() -> Client<HttpConnector, B>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}
