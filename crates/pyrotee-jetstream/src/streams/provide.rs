//! Looks for the stream and the consumers of a target, and creates those that are missing if the relay may.

use std::error::Error as StdError;

use async_nats::jetstream::consumer::{self, PullConsumer};
use async_nats::jetstream::context::{
    ConsumerInfoErrorKind, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, RequestError,
    RequestErrorKind,
};
use async_nats::jetstream::stream::{Config, ConsumerCreateStrictErrorKind, Stream};
use async_nats::jetstream::{Error, ErrorCode};
use pyrotee_queue::SurfaceId;

use super::{ProvideError, StreamSpec, verify};
use crate::link::Session;
use crate::names;
use crate::settings::{Policy, Settings};

/// A stream that can be used.
#[derive(Debug)]
pub(crate) struct Provided {
    /// The stream, for requests about it.
    pub(crate) stream: Stream,
    /// Longest message that the stream takes, headers included, in bytes.
    pub(crate) longest: usize,
    /// Settings that differ from what the relay would set: each a sentence with what to do.
    pub(crate) warnings: Vec<String>,
}

/// Looks for the stream of `spec` and for a consumer of each known surface. Creates what is missing with
/// [`Policy::Manage`], and never changes what exists.
///
/// # Errors
/// What is missing or unusable, or why NATS did not answer.
pub(crate) async fn provide(
    session: &Session,
    settings: &Settings,
    spec: &StreamSpec,
) -> Result<Provided, ProvideError> {
    let creates = settings.policy == Policy::Manage;
    if creates {
        may_create(session)?;
    }
    let needed = spec.stream(&settings.prefix, settings.replicas, session.max_payload);
    let stream = find_stream(session, &needed, creates).await?;
    let found = &stream.cached_info().config;
    verify::stream(found, &needed)?;
    let mut warnings = verify::stream_warnings(found, &needed);
    for (surface, _) in &settings.surfaces {
        let surface = SurfaceId(*surface);
        let needed = spec.consumer(&settings.prefix, surface);
        let found = find_consumer(&stream, surface, &needed, creates).await?;
        verify::consumer(&found.config, &needed)?;
        warnings.extend(verify::consumer_warnings(&found.config, &needed));
    }
    Ok(Provided {
        longest: longest(session, found),
        stream,
        warnings,
    })
}

/// Longest message that the server and a stream take, headers included, in bytes.
pub(crate) fn longest(session: &Session, stream: &Config) -> usize {
    match usize::try_from(stream.max_message_size).unwrap_or(0) {
        0 => session.max_payload,
        limit => limit.min(session.max_payload),
    }
}

/// Whether the server is new enough to create streams and consumers on it.
pub(crate) fn may_create(session: &Session) -> Result<(), ProvideError> {
    let version = &session.version;
    let old = || ProvideError::OldServer {
        version: version.to_string(),
    };
    version.is_supported().then_some(()).ok_or_else(old)
}

/// The stream, which is created if it is missing and `creates`: with one replica if NATS is a single server.
async fn find_stream(
    session: &Session,
    needed: &Config,
    creates: bool,
) -> Result<Stream, ProvideError> {
    let name = &needed.name;
    if let Some(stream) = get_stream(session, name).await? {
        return Ok(stream);
    }
    if !creates {
        let stream = name.clone();
        return Err(ProvideError::StreamMissing { stream });
    }
    match create_stream(session, needed).await {
        Err(ProvideError::Refused { code, .. })
            if is_single_server(code) && needed.num_replicas > 1 =>
        {
            let single = Config {
                num_replicas: 1,
                ..needed.clone()
            };
            create_stream(session, &single).await
        }
        created => created,
    }
}

/// Whether NATS is no cluster. A cluster that has too few servers now may have more soon, and a stream that was created
/// with one replica would keep that for ever.
fn is_single_server(code: u64) -> bool {
    code == ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED.0
}

async fn get_stream(session: &Session, name: &str) -> Result<Option<Stream>, ProvideError> {
    match session.jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::JetStream(error) => Err(refused("describe a stream", &error)),
            _ if has_no_responders(&error) => Err(ProvideError::NoJetStream),
            _ => Err(unanswered("describe a stream", &error)),
        },
    }
}

/// Whether nobody listens for requests to JetStream.
fn has_no_responders(error: &GetStreamError) -> bool {
    let source = error.source();
    let request = source.and_then(|source| source.downcast_ref::<RequestError>());
    request.is_some_and(|request| request.kind() == RequestErrorKind::NoResponders)
}

/// Creates the stream. If another relay creates it at the same time, the result is that stream.
async fn create_stream(session: &Session, needed: &Config) -> Result<Stream, ProvideError> {
    let error = match session.jetstream.create_stream(needed).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    match error.kind() {
        CreateStreamErrorKind::JetStream(error) => {
            let exists = error.error_code() == ErrorCode::STREAM_NAME_EXIST;
            let found = match exists {
                true => get_stream(session, &needed.name).await?,
                false => None,
            };
            found.ok_or_else(|| refused("create a stream", &error))
        }
        _ => Err(unanswered("create a stream", &error)),
    }
}

/// The consumer of a surface, which is created if it is missing and `creates`.
async fn find_consumer(
    stream: &Stream,
    surface: SurfaceId,
    needed: &consumer::pull::Config,
    creates: bool,
) -> Result<consumer::Info, ProvideError> {
    let name = names::consumer(surface);
    if let Some(found) = get_consumer(stream, &name).await? {
        return Ok(found);
    }
    if !creates {
        return Err(ProvideError::ConsumerMissing {
            stream: stream.cached_info().config.name.clone(),
            consumer: name,
        });
    }
    let created: Result<PullConsumer, _> = stream.create_consumer_strict(needed.clone()).await;
    let error = match created {
        Ok(created) => return Ok(created.cached_info().clone()),
        Err(error) => error,
    };
    match error.kind() {
        // Another relay has created it.
        ConsumerCreateStrictErrorKind::AlreadyExists => get_consumer(stream, &name)
            .await?
            .ok_or_else(|| unanswered("describe a consumer", &error)),
        ConsumerCreateStrictErrorKind::JetStream(error) => {
            Err(refused("create a consumer", &error))
        }
        _ => Err(unanswered("create a consumer", &error)),
    }
}

async fn get_consumer(stream: &Stream, name: &str) -> Result<Option<consumer::Info>, ProvideError> {
    match stream.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound => Ok(None),
            ConsumerInfoErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND =>
            {
                Ok(None)
            }
            ConsumerInfoErrorKind::JetStream(error) => Err(refused("describe a consumer", &error)),
            _ => Err(unanswered("describe a consumer", &error)),
        },
    }
}

fn refused(what: &str, error: &Error) -> ProvideError {
    ProvideError::Refused {
        what: what.to_owned(),
        code: error.error_code().0,
        error: error.to_string(),
    }
}

fn unanswered(what: &str, error: &impl ToString) -> ProvideError {
    ProvideError::Unanswered {
        what: what.to_owned(),
        error: error.to_string(),
    }
}
