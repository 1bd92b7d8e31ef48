//! Metrics, status and health, on a listener, a thread and a runtime of their own: they answer while the
//! data path is saturated, and nothing of them can be reached through the clients' listener.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Actions, Guard, LetterService, Pages, routes};

/// Connections served at once: a few scrapers and probes.
const CONNECTIONS: usize = 64;

/// How long a connection may take over a head, and stay idle.
const HEAD: Duration = Duration::from_secs(30);

/// How often the exporter's sample buffers are emptied.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything that the listener serves.
#[derive(Debug)]
pub struct Site {
    pub pages: Pages,
    pub guard: Guard,
    pub actions: Actions,
    /// `None` if they are not kept.
    pub dead_letters: Option<LetterService>,
}

/// A running admin listener.
#[derive(Debug)]
pub struct Admin {
    thread: JoinHandle<()>,
    stop: CancellationToken,
}

impl Admin {
    /// Serves `listener` on a thread of its own.
    pub fn start(listener: std::net::TcpListener, site: Site) -> io::Result<Self> {
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
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "admin listener failed"
                            );
                        }
                    }
                });
            });
        Ok(Self {
            thread: thread?,
            stop,
        })
    }

    /// Ends it.
    pub fn stop(self) {
        self.stop.cancel();
        if self.thread.join().is_err() {
            tracing::error!("admin thread panicked");
        }
    }
}

async fn serve(listener: std::net::TcpListener, site: Arc<Site>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    let upkeep = Arc::clone(&site);
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.pages.metrics.upkeep();
        }
    });
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
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
