//! Serves the admin pages on a listener, a thread and a runtime of their own, so that they respond while the data path
//! is saturated. The clients' listener serves none of these pages.

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

use crate::Site;
use crate::routes::router;
use crate::site::SharedSite;
use connections::Limits;

/// How often the exporter's sample buffers are emptied.
const UPKEEP: Duration = Duration::from_secs(5);

/// Time until the listener serves again after a panic, so that repeated panics do not use a whole core. Clients wait
/// in the kernel's backlog.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Bytes of a response that the kernel buffers for a client that does not read. The kernel's default is some megabytes
/// per connection, which count as memory of the container.
const SEND_BUFFER: usize = 32 * 1024;

/// The limits of connections. A scraper's connection is closed between two scrapes; the scraper opens a new one.
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

/// A running admin listener.
#[derive(Debug)]
pub struct Admin {
    thread: JoinHandle<()>,
    stop: CancellationToken,
}

impl Admin {
    /// Serves `listener` on a thread of its own; after a panic the thread serves again.
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
                // Does not wait for a blocking thread that hangs in a read of a broken disk.
                runtime.shutdown_background();
            });
        Ok(Self {
            thread: thread?,
            stop,
        })
    }

    /// Stops the listener and waits for its thread.
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
    let site = SharedSite(Arc::new(site));
    loop {
        let serving = async { serve(listener.try_clone()?, &site).await };
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

async fn serve(listener: std::net::TcpListener, site: &SharedSite) -> io::Result<()> {
    // Accepted sockets inherit the size of the buffer.
    SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER)?;
    let listener = TcpListener::from_std(listener)?;
    let upkeep = async {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            site.0.pages.metrics.upkeep();
        }
    };
    let hosting = host::run(listener, site.0.tls.clone(), router(site), LIMITS);
    tokio::select! {
        () = hosting => {}
        () = upkeep => {}
    }
    Ok(())
}
