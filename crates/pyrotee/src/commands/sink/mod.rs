//! `pyrotee sink`: a stand-in for a Pyroscope that stores nothing and shows what it received.
//!
//! Memory stays bounded: bodies are hashed while they stream, only short bodies of Push and OTLP are kept, and a
//! request waits while too many lines are not printed yet.

mod requests;
mod serve;

use std::time::Duration;

use anyhow::Context;
use hyper::StatusCode;
use pyrotee_client::LineFormat;
use pyrotee_net::Listen;
use pyrotee_terminal::parse_duration;
use tokio_util::sync::CancellationToken;

use serve::ResponseSettings;

const EXAMPLES: &str = "\
Examples:
  pyrotee sink
      Listens where pyrotee expects its upstream, and prints one line per profile.

  pyrotee sink --listen :4050 --status 503 --delay 2s
      A target that is slow and then refuses: shows retries and backoff.

  pyrotee sink --listen 127.0.0.1:0 --json | tail -n +2 | jq .app
      Listens on any free port. The first line has the address, and is no JSON.

The digest is the beginning of the SHA-256 of the body; `pyrotee send` prints
the same digest.";

/// Receive profiles, print one line for each, store nothing
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Address to listen on: :PORT for all interfaces, or IP:PORT; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4042", value_parser = pyrotee_config::parse_listen)]
    pub(crate) listen: Listen,

    /// Status of the response to each profile; from 400 on, with an error text in Pyroscope's format
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: u16,

    /// Time to wait before each response, such as 300ms or 1m30s
    #[arg(long, value_name = "D", default_value = "0s", value_parser = parse_duration)]
    pub(crate) delay: Duration,

    /// Print each profile as a JSON object on a line of its own
    #[arg(long)]
    pub(crate) json: bool,
}

/// Listens until `shutdown`, or until the reader closes the output.
///
/// # Errors
/// The address cannot be bound, or the output cannot be written.
pub(crate) async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let status = StatusCode::from_u16(args.status).context("--status is no status of HTTP")?;
    let (listener, _address) = pyrotee_net::bind(args.listen).with_context(|| {
        format!(
            "failed to listen on {}: choose another --listen",
            args.listen
        )
    })?;
    let settings = ResponseSettings {
        status,
        delay: args.delay,
    };
    let format = LineFormat::choose(args.json);
    serve::serve(
        listener,
        settings,
        format,
        &mut std::io::stdout(),
        &shutdown,
    )
    .await
}

#[cfg(test)]
pub(crate) mod tests;
