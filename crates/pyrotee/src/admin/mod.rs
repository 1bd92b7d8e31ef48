//! Metrics, status and health, on a listener, a thread and a runtime of their own: they answer while the
//! data path is saturated, and nothing of them can be reached through the clients' listener.

mod actions;
mod answer;
mod dead_letters;
mod guard;
mod health;
mod pages;
mod routes;
mod spool;
mod status;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dead_letters::Desk;

pub(crate) use actions::Actions;
pub(crate) use guard::Guard;
pub(crate) use health::Health;
pub(crate) use pages::Pages;
pub(crate) use spool::Spool;
pub(crate) use status::Status;

/// Connections served at once: a few scrapers and probes.
const CONNECTIONS: usize = 64;

/// How long a connection may take over a head, and stay idle.
const HEAD: Duration = Duration::from_secs(30);

/// How often the exporter's sample buffers are emptied.
const UPKEEP: Duration = Duration::from_secs(5);

/// What can be asked here.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) pages: Pages,
    pub(crate) guard: Guard,
    pub(crate) actions: Actions,
    /// `None` if they are not kept.
    pub(crate) dead_letters: Option<Desk>,
}

/// A running admin listener.
#[derive(Debug)]
pub(crate) struct Admin {
    thread: JoinHandle<()>,
    stop: CancellationToken,
}

impl Admin {
    /// Serves `listener` on a thread of its own.
    pub(crate) fn start(listener: std::net::TcpListener, site: Site) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let serving = serve(listener, Arc::new(site));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        result = serving => if let Err(error) = result {
                            tracing::error!(error = &*error, "admin listener failed");
                        }
                    }
                });
            });
        Ok(Self {
            thread: thread.context("failed to start the admin thread")?,
            stop,
        })
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        self.stop.cancel();
        if self.thread.join().is_err() {
            tracing::error!("admin thread panicked");
        }
    }
}

async fn serve(listener: std::net::TcpListener, site: Arc<Site>) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    let upkeep = Arc::clone(&site);
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.pages.scrape.upkeep();
        }
    });
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (socket, peer): (_, SocketAddr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept an admin connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = connection(socket, peer.ip(), Arc::clone(&site));
        tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

fn connection(
    socket: tokio::net::TcpStream,
    peer: IpAddr,
    site: Arc<Site>,
) -> impl Future<Output = ()> {
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, std::convert::Infallible>(routes::answer(request, peer, &site).await) }
    });
    async move {
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(socket), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "admin connection failed"
            );
        }
    }
}
