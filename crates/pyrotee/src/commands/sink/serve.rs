//! Serves the connections of the sink. One loop owns the listener and the output. Each connection has a task that sends
//! its lines to the loop, and waits while [`LINES_WAITING`] lines are not printed yet.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use anyhow::Context;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use pyrotee_client::{LineFormat, ProfileLine};
use pyrotee_proxy::SyntheticBody;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::requests::receive;

/// Time for the head of a request. It also ends idle keep-alive connections, so it is longer than the pause of any SDK
/// between two uploads.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(90);
/// How long requests in flight may take to end when the sink stops.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after a failed accept: most often no file descriptor is free, and a loop without a pause would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Maximum number of header fields of a request.
const MAX_HEADERS: usize = 1000;
/// Maximum number of lines that wait to be printed.
const LINES_WAITING: usize = 64;

/// The response to every profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseSettings {
    pub(super) status: StatusCode,
    pub(super) delay: Duration,
}

/// Serves until `shutdown`, or until the reader of `out` closes it.
pub(super) async fn serve(
    listener: TcpListener,
    settings: ResponseSettings,
    format: LineFormat,
    out: &mut impl Write,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let address = listener
        .local_addr()
        .context("failed to read the address listened on")?;
    let told = print(out, &format!("listening on http://{address}"));
    let result = match told {
        Ok(()) => accept(listener, settings, format, out, shutdown).await,
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("failed to write to the output"),
    }
}

async fn accept(
    listener: TcpListener,
    settings: ResponseSettings,
    format: LineFormat,
    out: &mut impl Write,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let (lines, mut printed) = mpsc::channel::<ProfileLine>(LINES_WAITING);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(line) = printed.recv() => print(out, &line.render(format))?,
            // Removes a connection that has ended, so that the set does not grow for ever.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, settings, lines.clone(), &graceful));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }

    drop((listener, lines));
    let ending = async {
        graceful.shutdown().await;
        connections.join_all().await;
    };
    // Lines are still printed: else a connection could wait for ever for room for its last line.
    let printing = async {
        while let Some(line) = printed.recv().await {
            print(out, &line.render(format))?;
        }
        Ok(())
    };
    let both = async { tokio::join!(ending, printing).1 };
    tokio::time::timeout(GRACE, both).await.unwrap_or(Ok(()))
}

/// Serves a connection over HTTP/1.1 or HTTP/2, whichever the client begins with.
fn connection(
    stream: TcpStream,
    settings: ResponseSettings,
    lines: mpsc::Sender<ProfileLine>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    // A failure is ignored: only latency depends on the option.
    drop(stream.set_nodelay(true));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(MAX_HEADERS);
    builder.http2().timer(TokioTimer::new());

    let service = service_fn(move |request| respond(request, settings, lines.clone()));
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let watched = graceful.watch(connection);
    // A broken connection is no error of the sink, which prints the profiles that arrived on it.
    async move { drop(watched.await) }
}

async fn respond(
    request: Request<Incoming>,
    settings: ResponseSettings,
    lines: mpsc::Sender<ProfileLine>,
) -> hyper::Result<Response<SyntheticBody>> {
    let received = receive(request, settings.status).await?;
    if let Some(line) = received.line {
        // Sending fails only if the loop has ended because the sink stops.
        drop(lines.send(line).await);
        tokio::time::sleep(settings.delay).await;
    }
    Ok(received.response)
}

/// Prints a line with one write, so that it never mixes with lines of other processes on the same terminal.
fn print(out: &mut impl Write, line: &str) -> io::Result<()> {
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}
