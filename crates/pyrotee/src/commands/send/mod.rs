//! `pyrotee send`: sends profiles as an SDK would, and says what came back.

mod capture;
mod exchange;
mod profile;
mod push;
mod request;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use hyper::StatusCode;
use pyrotee_net::{Address, Connector, Resolver, Tls};
use tokio::time::Instant;

use crate::terminal::visible;
use exchange::Answer;
use request::{Prepared, Source};

const EXAMPLES: &str = "\
Examples:
  pyrotee send --to http://127.0.0.1:4040
      A small built-in CPU profile, uploaded the way the Go SDK does it.

  pyrotee send --to http://127.0.0.1:4040/base --name 'shop{region=eu}' --count 10
      Ten of them under another name, to a Pyroscope behind a path.

  pyrotee send --to http://127.0.0.1:4040 --file cpu.pprof
      A profile of your own, its format told by its ending or its content:
      .jfr, .pprof or gzip, and .txt, .folded or .collapsed for stacks.

  pyrotee send --to http://127.0.0.1:4040 --as push
      The sample as the SDKs for Rust and Python upload it, in one message with
      its labels: those of --name, the application as service_name.

  pyrotee send --to http://127.0.0.1:4040 --as otlp --file export.binpb
      An ExportProfilesServiceRequest of OpenTelemetry as it is, in JSON if it
      ends in .json and else in protobuf. --name means nothing to it, and there
      is no built-in one.

  pyrotee send --to http://127.0.0.1:4040 --file upload.http
      A captured request, sent again byte for byte, its name and times too.
      Only Host is changed, and the path if --to has one to put before it.

No credentials are added: to check a target that wants some, send through a
pyrotee that has this target, or a captured request that carries them.

The digest is the beginning of the SHA-256 of the body; `pyrotee sink` prints
the same one.";

/// Send a profile to a Pyroscope or a relay and show the answer
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Base address of a Pyroscope or a relay, http or https; may have a path prefix
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,

    /// How to send it: to which of the paths that take profiles, written as it wants it
    #[arg(long = "as", value_name = "SURFACE", value_enum, default_value_t = As::Ingest)]
    pub(crate) surface: As,

    /// Name of the profile, with labels if you like
    #[arg(
        long,
        value_name = "NAME",
        default_value = "pyrotee.sample{source=send}"
    )]
    pub(crate) name: String,

    /// How often to send it, one after the other; the first failure ends it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,

    /// Profile to send, or a captured request (.http); without it a built-in sample
    #[arg(long, value_name = "F")]
    pub(crate) file: Option<PathBuf>,

    /// Time for each upload as a whole, from connecting to the end of the answer
    #[arg(long, value_name = "D", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

/// Where profiles are taken, and in what shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum As {
    /// The path of the SDKs for Go, Java and Node
    Ingest,
    /// Push of the SDKs for Rust, Python, Ruby and .NET: pprof only
    Push,
    /// OpenTelemetry profiles over HTTP: a file that is such a message already
    Otlp,
}

/// Sends as told and prints one line for each upload.
///
/// # Errors
/// An argument cannot be used, the destination cannot be reached in time, or its status is no
/// success; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    send(&args, &mut io::stdout()).await
}

async fn send(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let sender = Sender::to(&args.to, args.timeout)?;
    let source = Source::open(args.file.as_deref(), args.surface)?;
    for _ in 0..args.count {
        let request = source.prepare(&sender.address, &args.name, SystemTime::now())?;
        let started = Instant::now();
        let answer = sender.upload(&request).await?;
        match report(&request, &answer, started.elapsed(), out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed.context("failed to write to the output")?,
        }
        if !answer.status.is_success() {
            return Err(sender.refusal(&answer));
        }
    }
    Ok(())
}

/// Where to send to, and how long an upload may take.
#[derive(Debug)]
pub(crate) struct Sender {
    connector: Connector,
    address: Address,
    limit: Duration,
}

/// What came back of a captured request that was sent again.
#[derive(Debug)]
pub(crate) struct Replied {
    pub(crate) status: StatusCode,
    /// What to say of it, if it is no success.
    pub(crate) refusal: anyhow::Error,
}

impl Sender {
    /// Sends to the address that `--to` has.
    pub(crate) fn to(to: &str, limit: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            connector: Connector::new(&Resolver::system()?, &Tls::system()?),
            address: address(to, "leave them out")?,
            limit,
        })
    }

    /// Sends a captured request again.
    pub(crate) async fn replay(&self, capture: Bytes) -> anyhow::Result<Replied> {
        let source = Source::capture(capture)?;
        // It has a name and times of its own.
        let request = source.prepare(&self.address, "", SystemTime::now())?;
        let answer = self.upload(&request).await?;
        let said = answer.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let refusal = match said.is_empty() {
            true => self.refusal(&answer),
            false => self.refusal(&answer).context(visible(&said)),
        };
        Ok(Replied {
            status: answer.status,
            refusal,
        })
    }

    async fn upload(&self, request: &Prepared) -> anyhow::Result<Answer> {
        let (address, limit) = (&self.address, self.limit);
        let exchanged = exchange::exchange(&self.connector, address, &request.bytes);
        match tokio::time::timeout(limit, exchanged).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow!(
                "no complete answer from {address} within {}: it hangs or is slow, see its log or raise --timeout",
                humantime::format_duration(limit)
            )),
        }
    }

    fn refusal(&self, answer: &Answer) -> anyhow::Error {
        let (address, status) = (&self.address, answer.status);
        anyhow!("{address} answered {status}: {}", next_step(answer))
    }
}

/// The address that `--to` has; `instead` of credentials, which are not sent, do that.
pub(crate) fn address(to: &str, instead: &str) -> anyhow::Result<Address> {
    let parsed = Address::parse(to).map_err(|error| anyhow!("--to {error}"))?;
    ensure!(
        parsed.userinfo.is_none(),
        "--to has credentials, which are not sent: {instead}"
    );
    Ok(parsed.address)
}

/// Whether a status is about the profile: whoever sends another one may hear something else.
pub(crate) fn refuses_profile(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 413 | 422)
}

/// One line, and under it what a refusal says.
fn report(
    request: &Prepared,
    answer: &Answer,
    took: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut text = format!(
        "{}  {:>10} B  {}  {} ms\n",
        answer.status.as_u16(),
        request.body.bytes,
        request.body,
        took.as_millis()
    );
    if !answer.status.is_success() {
        for line in answer.text.lines() {
            text.push_str(&format!("    {}\n", visible(line)));
        }
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn next_step(answer: &Answer) -> String {
    let step = match answer.status.as_u16() {
        300..=399 => match &answer.location {
            Some(location) => {
                return format!("it redirects to {}, give that to --to", visible(location));
            }
            None => "it redirects, find the address behind it and give that to --to",
        },
        400 => {
            "it does not accept the request, mostly for its name: see its text above, try another --name"
        }
        401 | 403 => "it wants credentials: send through a pyrotee whose target has them",
        404 => "nothing takes profiles there: check the path in --to, that of --as is added to it",
        405 | 415 => "something else than a Pyroscope answers there: check --to",
        408 | 504 => "it waited too long for the upload or for a server behind it: try again",
        413 => "the profile is too large for it: raise its limit or send a smaller file",
        422 => {
            "it does not understand the profile or refuses it as too old: see its text above, check --file"
        }
        429 => "it limits the rate: wait, or raise its ingestion limits",
        500..=599 => "it has trouble of its own: see its log",
        _ => "this is no answer of a Pyroscope: check --to",
    };
    step.to_owned()
}

#[cfg(test)]
mod tests;
