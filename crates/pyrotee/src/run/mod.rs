//! `pyrotee run`: from a configuration to a process that ends well.
//!
//! Raise the limit of file descriptors, bind the ports, then begin to open the spool and serve meanwhile. At the first
//! signal: not ready, stop accepting, finish requests in flight, close the queues, drain them; at the second, or when
//! the grace is over, count what is left, save it within a deadline and go. A part that ends before its time starts the same stop, and makes the exit code 1.

mod descriptors;
mod outside;
mod relay;
pub(crate) mod settings;
mod signals;
mod stopping;
mod wiring;

use anyhow::Context;
use pyrotee_config::Config;
use tokio::runtime::Builder;

use crate::telemetry;
use relay::Relay;
pub(crate) use signals::Signals;

/// Runs the relay until it is told to stop.
///
/// # Errors
///
/// If something cannot be set up, or a part of the relay has crashed.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    telemetry::install_logs(&config.log);
    descriptors::raise_limit();
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    // On one core there is nobody to share work with, and to be ready for it costs.
    let mut builder = match cores {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder
        .thread_name("relay")
        // They unpack and pack bodies for targets: more of them than cores would only take time
        // from the threads that serve clients.
        .max_blocking_threads(cores)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let stopped = runtime.block_on(async {
        let relay = Relay::build(config, cores)?;
        relay.run().await
    });
    // Tunnels have no end of their own: they are cut here.
    runtime.shutdown_background();
    stopped
}
