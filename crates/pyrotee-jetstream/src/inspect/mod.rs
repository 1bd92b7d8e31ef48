//! Looks at the shared backlog without a running relay, for the commands `pyrotee shared list`, `check` and `delete`.

mod check;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::DeleteStreamErrorKind;
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use check::{CheckedTarget, Finding, Level, check};

use crate::link::{Link, Session};
use crate::names;
use crate::settings::{Server, Settings};

/// Longest time to connect, and longest time of the whole look.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two looks for a connection.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A stream of the shared backlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    /// Name of the target.
    pub target: String,
    /// Name of the stream.
    pub stream: String,
    /// Profiles that wait or are being delivered, those that were delivered and not removed excepted.
    pub waiting: u64,
    /// Bytes of the stream, and most bytes that it may have. `None`: no limit.
    pub bytes: u64,
    /// See [`StreamRow::bytes`].
    pub max_bytes: Option<u64>,
    /// When the oldest profile was handed over; `None`: there is none.
    pub oldest: Option<SystemTime>,
    /// How many copies of each profile the servers keep.
    pub replicas: usize,
}

/// Why the shared backlog could not be looked at or changed.
#[derive(Debug, Error)]
pub enum InspectError {
    /// No server could be reached.
    #[error("{0}")]
    Unreachable(String),
    /// There is no such stream.
    #[error("there is no stream {0}: `pyrotee shared list` shows the streams that exist")]
    NoStream(String),
    /// A server refused, or did not answer.
    #[error("NATS did not {what}: {error}")]
    Failed {
        /// The request.
        what: &'static str,
        /// The answer.
        error: String,
    },
}

/// A connection for one look. Dropping it ends its tasks.
struct Look {
    session: Arc<Session>,
    stop: CancellationToken,
}

impl Drop for Look {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Look {
    async fn open(settings: &Settings) -> Result<Self, InspectError> {
        let stop = CancellationToken::new();
        let ending = stop.clone().drop_guard();
        let link = Link::start(settings, &TaskTracker::new(), stop.clone());
        let deadline = Instant::now() + PATIENCE;
        let session = loop {
            let session = link.session();
            // Every server was tried at least once.
            let has_failed = link.state().errors >= settings.servers.len() as u64;
            if session.is_some() || has_failed || Instant::now() >= deadline {
                break session;
            }
            sleep(BETWEEN_LOOKS).await;
        };
        let Some(session) = session else {
            let error = link.state().error;
            let servers = settings.servers.iter().map(Server::name);
            let servers = servers.collect::<Vec<_>>().join(", ");
            let none = || format!("{servers}: no response within {PATIENCE:?}");
            return Err(InspectError::Unreachable(error.unwrap_or_else(none)));
        };
        drop(ending.disarm());
        Ok(Self { session, stop })
    }
}

/// The streams of the prefix, by target.
///
/// # Errors
/// If no server can be reached, or the servers refuse.
pub async fn list(settings: &Settings) -> Result<Vec<StreamRow>, InspectError> {
    let look = Look::open(settings).await?;
    let rows = timeout(PATIENCE, rows(&look.session, &settings.prefix));
    rows.await.unwrap_or_else(|_| {
        Err(InspectError::Failed {
            what: "list its streams",
            error: format!("no answer within {PATIENCE:?}"),
        })
    })
}

async fn rows(session: &Session, prefix: &str) -> Result<Vec<StreamRow>, InspectError> {
    let mut streams = session.jetstream.streams();
    let mut rows = Vec::new();
    while let Some(info) = streams.next().await {
        // A server does not answer what it forbids.
        let info = info.map_err(|error| InspectError::Failed {
            what: "list its streams",
            error: format!("{error}: allow $JS.API.> to the user of this command"),
        })?;
        let [subjects] = &info.config.subjects[..] else {
            continue;
        };
        let Some(target) = names::target_of(prefix, subjects) else {
            continue;
        };
        let stream = session.jetstream.get_stream(&info.config.name).await;
        let stream = stream.map_err(|error| InspectError::Failed {
            what: "describe a stream",
            error: error.to_string(),
        })?;
        let state = &info.state;
        rows.push(StreamRow {
            target,
            waiting: waiting(&stream).await?,
            stream: info.config.name,
            bytes: state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).ok(),
            oldest: (state.messages > 0).then(|| SystemTime::from(state.first_timestamp)),
            replicas: info.config.num_replicas,
        });
    }
    rows.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(rows)
}

/// The profiles of a stream that its consumers have not settled.
async fn waiting(stream: &Stream) -> Result<u64, InspectError> {
    let mut consumers = stream.consumers();
    let mut waiting = 0;
    while let Some(consumer) = consumers.next().await {
        let consumer = consumer.map_err(|error| InspectError::Failed {
            what: "describe a consumer",
            error: error.to_string(),
        })?;
        waiting += consumer.num_pending + consumer.num_ack_pending as u64;
    }
    Ok(waiting)
}

/// Deletes a stream with everything in it. The caller makes sure that no relay has its target.
///
/// # Errors
/// If no server can be reached, if the stream does not belong to the prefix, or the servers refuse.
pub async fn delete(settings: &Settings, stream: &str) -> Result<(), InspectError> {
    let look = Look::open(settings).await?;
    let known = rows(&look.session, &settings.prefix).await?;
    if !known.iter().any(|row| row.stream == stream) {
        return Err(InspectError::NoStream(stream.to_owned()));
    }
    let deleted = look.session.jetstream.delete_stream(stream).await;
    match deleted {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            DeleteStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                InspectError::NoStream(stream.to_owned())
            }
            _ => InspectError::Failed {
                what: "delete the stream",
                error: error.to_string(),
            },
        }),
    }
}
