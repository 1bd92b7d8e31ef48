//! The running relay: builds its parts from a configuration, runs them and stops them in an orderly way.
//!
//! This is the only crate that knows both the configuration and the parts that run, and the only one that knows the exporter
//! of metrics and the subscriber of logs. `settings` turns the configuration into the settings of each part, `wiring` and
//! `relay` put the parts together, `telemetry` fills metrics and logs.
//!
//! Raise the limit of file descriptors, bind the ports, then begin to open the spool and serve meanwhile. At the first
//! signal: not ready, stop accepting, finish requests in flight, close the queues, drain them; at the second, or when
//! `shutdown.grace` is over, count the undelivered profiles, save the spool and the dead letters within a deadline and
//! exit. A part that ends unexpectedly starts such a stop, too, and makes the exit code 1.

pub mod build_info;
mod descriptors;
mod misconfigured;
mod outside;
mod relay;
mod reload;
mod running;
mod scraping;
mod settings;
mod shared;
mod signals;
mod stopping;
mod summary;
mod targets;
mod telemetry;
mod upstream;
mod wiring;

use anyhow::Context;
use pyrotee_config::{ConfigText, Loaded, Loader};
use tokio::runtime::Builder;

pub use misconfigured::{Misconfigured, check_build};
use relay::Relay;
use reload::InForce;
pub use settings::delivery as delivery_settings;
#[cfg(feature = "jetstream")]
pub use shared::settings as shared_settings;
pub use signals::Signals;

/// Runs the relay until a signal, or the unexpected end of a part, stops it. `loaded` is the configuration that `loader`
/// loaded from `text`; `loader` loads it again when it changes.
///
/// # Errors
///
/// If something cannot be set up, or a part of the relay has crashed.
pub fn run(loader: Loader, text: ConfigText, loaded: Loaded) -> anyhow::Result<()> {
    let config = &loaded.config;
    let log_level = telemetry::install_logs(&config.log);
    descriptors::raise_limit();
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    // On one core there is no other thread to share work with, and a multi-threaded runtime only costs time.
    let mut builder = match cores {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder
        .thread_name("relay")
        // Blocking threads unpack and pack bodies for targets: more threads than cores would only take time from the
        // threads that serve clients.
        .max_blocking_threads(cores)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let stopped = runtime.block_on(async {
        let relay = Relay::build(loader, InForce { text, loaded }, log_level, cores)?;
        relay.run().await
    });
    // Tunnels may stay open for ever, so they are cut here.
    runtime.shutdown_background();
    stopped
}
