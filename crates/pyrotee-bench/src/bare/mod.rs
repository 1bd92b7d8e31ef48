//! The yardstick: the least that forwards with hyper and hands copies to bounded queues.
//!
//! No tags, no accounts, no retries, no limits but the length of its queues. What the relay costs beyond it is what it does.

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

/// What the command line asks for.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// Who gets every request
    #[arg(long)]
    upstream: SocketAddr,
    /// Who gets a copy
    #[arg(long)]
    mirror: Vec<SocketAddr>,
}

/// The first line that it prints.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Listening {
    pub(crate) listening: SocketAddr,
}

/// Forwards until it is killed.
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
        // As the relay has it: hyper's default takes 0.6 MB for a connection that uploads.
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
