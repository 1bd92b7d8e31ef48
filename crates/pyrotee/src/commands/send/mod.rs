//! `pyrotee send`: sends profiles as an SDK would, and shows the responses.

mod destination;
mod profile;
mod request;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pyrotee_client::BodyDigest;
use pyrotee_terminal::{parse_duration, visible, write};
use tokio::time::Instant;

use crate::commands::tls_args::TlsArgs;
use destination::{Destination, Sent};
use request::RequestSource;

const EXAMPLES: &str = "\
Examples:
  pyrotee send --to http://127.0.0.1:4040
      A small built-in CPU profile, uploaded the way the Go SDK does it.

  pyrotee send --to http://127.0.0.1:4040/base --name 'shop{region=eu}' --count 10
      Ten profiles with another name, to a Pyroscope behind a path.

  pyrotee send --to http://127.0.0.1:4040 --file cpu.pprof
      A profile of your own. Its ending or its content tells the format:
      .jfr, .pprof or gzip, and .txt, .folded or .collapsed for stacks.

  pyrotee send --to http://127.0.0.1:4040 --as push
      The sample as the SDKs for Rust and Python upload it, in one message with
      the labels of --name, and the application as service_name.

  pyrotee send --to http://127.0.0.1:4040 --as otlp --file export.binpb
      An ExportProfilesServiceRequest of OpenTelemetry, sent unchanged: as JSON
      if the file ends in .json, else as protobuf. --name has no effect, and
      there is no built-in sample.

  pyrotee send --to http://127.0.0.1:4040 --file upload.http
      A captured request, sent again byte for byte, with its name and times.
      Only Host is changed, and the path gets the prefix of --to, if any.

  pyrotee send --target central --config pyrotee.yaml
      Shows whether a target takes a profile: the request has the target's
      address, credentials, tenant, headers, paths and tags, as if the relay sent
      it, and the response means what it would mean to the relay. The profile
      arrives there. Without --config the file in PYROTEE_CONFIG counts.

With --to no credentials are added.

The digest is the beginning of the SHA-256 of the body; `pyrotee sink` prints
the same digest, unless the tags of a target changed the body of Push or OTLP.

Exit codes: 0 accepted, 1 refused or no response, 2 the command line or the
configuration is wrong.";

/// Send a profile to a Pyroscope or a relay and show the response
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Base address of a Pyroscope or a relay, http or https; may have a path prefix
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "target",
        conflicts_with = "target"
    )]
    pub(crate) to: Option<String>,

    /// Target of a configuration, to send as the relay would
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,

    /// Configuration that has the target; without it, the file in PYROTEE_CONFIG
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "to")]
    pub(crate) config: Option<PathBuf>,

    /// Surface to send to, which decides path and format of the request
    #[arg(long = "as", value_name = "SURFACE", value_enum, default_value_t = SurfaceArg::Ingest)]
    pub(crate) surface: SurfaceArg,

    /// Name of the profile, optionally with labels
    #[arg(
        long,
        value_name = "NAME",
        default_value = "pyrotee.sample{source=send}"
    )]
    pub(crate) name: String,

    /// Number of uploads, one after the other; the first failure ends the command
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,

    /// Profile to send, or a captured request (.http); without a file a built-in sample is sent
    #[arg(long, value_name = "F")]
    pub(crate) file: Option<PathBuf>,

    /// Timeout of each upload as a whole, from connecting to the end of the response [default: 10s, or the timeout of
    /// the target]
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

/// Value of `--as`: the surface to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SurfaceArg {
    /// The path of the SDKs for Go, Java and Node
    Ingest,
    /// Push of the SDKs for Rust, Python, Ruby and .NET: pprof only
    Push,
    /// OpenTelemetry profiles over HTTP: only a file that is such a message already
    Otlp,
}

/// Sends profiles and prints one line for each upload.
///
/// # Errors
/// An argument cannot be used, the destination cannot be reached in time, or its status is no
/// success; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    send(&args, &mut io::stdout()).await
}

async fn send(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let destination = Destination::open(args)?;
    let source = RequestSource::open(args.file.as_deref(), args.surface)?;
    for _ in 0..args.count {
        let request = source.request(destination.address(), &args.name, SystemTime::now())?;
        let (started, body) = (Instant::now(), request.body);
        let sent = destination.send(request).await?;
        if !write(out, &report(body, &sent, started.elapsed()))? {
            return Ok(());
        }
        if let Some(failure) = sent.failure {
            return Err(failure);
        }
    }
    Ok(())
}

/// One line per upload, and below it the text of the response, if it is to be shown.
fn report(body: BodyDigest, sent: &Sent, took: Duration) -> String {
    let mut report = format!(
        "{}  {:>10} B  {body}  {} ms\n",
        sent.status,
        body.bytes,
        took.as_millis()
    );
    for line in sent.text.lines() {
        report.push_str(&format!("    {}\n", visible(line)));
    }
    report
}

#[cfg(test)]
mod tests;
