//! Metrics, status and health, on a listener, a thread and a runtime of their own: they answer while the
//! data path is saturated, and nothing of them can be reached through the clients' listener.

mod activity;
mod connection;
mod connections;
mod host;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pyrotee_net::server::Deadlines;
use pyrotee_queue::{Part, Supervisor};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::hosts::Hosts;
use crate::routes::router;
use crate::{Actions, Guard, LetterService, Pages};
use connections::Limits;

/// How often the exporter's sample buffers are emptied.
const UPKEEP: Duration = Duration::from_secs(5);

/// Time until the listener serves again after a panic, so that one that panics each time does no harm. Clients wait in
/// the kernel's backlog.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Bytes of a response that the kernel holds for a client that does not read. By itself it holds some megabytes for each,
/// which count as memory of the container.
const SEND_BUFFER: usize = 32 * 1024;

/// What clients may take. A scraper's connection is closed between two scrapes, which it opens another for.
const LIMITS: Limits = Limits {
    connections: 64,
    extra: 64,
    request: Duration::from_secs(60),
    deadlines: Deadlines {
        head: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        write: Duration::from_secs(10),
    },
};

/// Everything that the listener serves.
#[derive(Debug)]
pub struct Site {
    pub pages: Pages,
    pub guard: Guard,
    pub hosts: Hosts,
    pub actions: Actions,
    /// `None` if they are not kept.
    pub dead_letters: Option<Arc<LetterService>>,
}

/// A running admin listener.
#[derive(Debug)]
pub struct Admin {
    thread: JoinHandle<()>,
    stop: CancellationToken,
}

impl Admin {
    /// Serves `listener` on a thread of its own, which goes on after a panic.
    pub fn start(
        listener: std::net::TcpListener,
        site: Site,
        supervisor: Supervisor,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name(Part::Admin.as_str().to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        () = serve_despite_panics(&listener, site, &supervisor) => {}
                    }
                });
                // A thread that looks at a file of a disk that hangs is left behind.
                runtime.shutdown_background();
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

async fn serve_despite_panics(
    listener: &std::net::TcpListener,
    site: Site,
    supervisor: &Supervisor,
) {
    let site = Arc::new(site);
    loop {
        let serving = async { serve(listener.try_clone()?, Arc::clone(&site)).await };
        match supervisor.catch_future(Part::Admin, serving).await {
            Err(_panic) => sleep(PAUSE_AFTER_PANIC).await,
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "admin listener failed");
                return;
            }
        }
    }
}

async fn serve(listener: std::net::TcpListener, site: Arc<Site>) -> io::Result<()> {
    // Accepted sockets inherit it.
    SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER)?;
    let listener = TcpListener::from_std(listener)?;
    let upkeep = async {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            site.pages.metrics.upkeep();
        }
    };
    let hosting = host::run(listener, router(&site), LIMITS);
    tokio::select! {
        () = hosting => {}
        () = upkeep => {}
    }
    Ok(())
}
