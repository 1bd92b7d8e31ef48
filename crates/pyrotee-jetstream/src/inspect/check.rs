//! Checks of the servers and streams, for `pyrotee shared check`.

use std::time::{Duration, SystemTime};

use async_nats::datetime::parse_rfc3339;
use async_nats::jetstream::context::{AccountErrorKind, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::ClusterInfo;
use async_nats::jetstream::{Error, ErrorCode};
use pyrotee_queue::SurfaceId;
use serde::Deserialize;
use tokio::time::timeout;

use super::{Look, PATIENCE, StreamRow, rows};
use crate::link::{ENABLE_JETSTREAM, Session};
use crate::names;
use crate::settings::{Policy, Server, Settings};
use crate::streams::{StreamSpec, may_create, provide, remedy_of};

/// Largest difference between the clocks of this machine and of the broker that is not told: ages of records and the
/// expiry of the stream's oldest ones depend on both.
const MOST_SKEW: Duration = Duration::from_secs(5);

/// Bytes of a record beside its body, at most: names, tags and headers.
const HEAD: u64 = 4_096;

/// Longest time to list all streams. NATS does not respond to a user who may not list them.
const TO_LIST: Duration = Duration::from_secs(2);

/// A target of the configuration, for [`check`].
#[derive(Debug, Clone)]
pub struct CheckedTarget {
    /// Name of the target.
    pub name: String,
    /// Most bytes of its stream.
    pub max_bytes: u64,
    /// Age at which its records expire; `None`: never.
    pub max_age: Option<Duration>,
    /// Longest time of one upload to the target.
    pub timeout: Duration,
    /// Longest body that may be captured, in bytes.
    pub longest_body: u64,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it must be.
    Ok,
    /// The backlog is shared, and something should be changed.
    Warning,
    /// The backlog is not shared.
    Fault,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// What was found, and what to do about it.
    pub what: String,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>) -> Self {
        Self {
            level,
            what: what.into(),
        }
    }
}

/// Checks each server of the configuration, the account and the streams of `targets`. Creates nothing and stores nothing.
pub async fn check(settings: &Settings, targets: &[CheckedTarget]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut session = None;
    let mut unreachable = Vec::new();
    for server in &settings.servers {
        match Look::open(&settings.for_server(server)).await {
            Ok(look) => {
                findings.push(connected(server, &look.session));
                session.get_or_insert(look);
            }
            Err(error) => unreachable.push(error.to_string()),
        }
    }
    // A relay uses the others meanwhile.
    let level = session.as_ref().map_or(Level::Fault, |_| Level::Warning);
    findings.extend(unreachable.iter().map(|it| Finding::new(level, it)));
    if let Some(look) = session {
        let looked = timeout(PATIENCE, inspect(&look.session, settings, targets));
        let none = || {
            vec![Finding::new(
                Level::Fault,
                format!("no answer within {PATIENCE:?}"),
            )]
        };
        findings.extend(looked.await.unwrap_or_else(|_| none()));
    }
    findings
}

fn connected(server: &Server, session: &Session) -> Finding {
    let (host, port, version) = (&server.host, server.port, &session.version);
    match session.version.is_supported() {
        true => Finding::new(
            Level::Ok,
            format!("{host}:{port}: connected, NATS {version}"),
        ),
        false => Finding::new(
            Level::Warning,
            format!("{host}:{port}: NATS {version} is older than 2.10: upgrade it"),
        ),
    }
}

async fn inspect(
    session: &Session,
    settings: &Settings,
    targets: &[CheckedTarget],
) -> Vec<Finding> {
    let mut findings = vec![account(session, settings.replicas, targets).await];
    findings.extend(longest_body(session, targets));
    // Only looks: what is missing is told, and created by the first relay.
    let looking = Settings {
        policy: Policy::Bind,
        ..settings.clone()
    };
    for target in targets {
        findings.extend(stream(session, &looking, settings.policy, target).await);
    }
    findings.extend(others(session, settings, targets).await);
    findings
}

/// Compares the limits of the account with what all copies of the streams may take.
async fn account(session: &Session, replicas: usize, targets: &[CheckedTarget]) -> Finding {
    let account = match session.jetstream.query_account().await {
        Ok(account) => account,
        Err(error) => {
            let remedy = match error.kind() {
                AccountErrorKind::Other if !session.version.is_supported() => {
                    let what = "this version of NATS does not tell the limits of the account";
                    return Finding::new(Level::Warning, what);
                }
                AccountErrorKind::JetStream(error) => remedy_of(error.error_code().0),
                AccountErrorKind::JetStreamUnavailable => ENABLE_JETSTREAM,
                AccountErrorKind::TimedOut | AccountErrorKind::Other => {
                    "allow $JS.API.INFO to the user, for this check"
                }
            };
            let what = format!("JetStream cannot be used: {error}: {remedy}");
            return Finding::new(Level::Fault, what);
        }
    };
    let needed: u64 = targets.iter().map(|target| target.max_bytes).sum();
    let needed = needed.saturating_mul(replicas as u64);
    match account
        .limits
        .max_storage
        .and_then(|most| u64::try_from(most).ok())
    {
        Some(most) if most < needed => Finding::new(
            Level::Warning,
            format!(
                "the account may store {most} bytes, and the streams of {} targets take up to {needed}, all replicas \
                 together: raise the limit, or lower shared.max-bytes",
                targets.len()
            ),
        ),
        _ => Finding::new(Level::Ok, "JetStream is enabled for the account"),
    }
}

/// Tells from what size on profiles are not shared.
fn longest_body(session: &Session, targets: &[CheckedTarget]) -> Option<Finding> {
    let shared = (session.max_payload as u64).saturating_sub(HEAD);
    let longest = targets.iter().map(|target| target.longest_body).max()?;
    (longest > shared).then(|| {
        Finding::new(
            Level::Warning,
            format!(
                "profiles above {shared} bytes are not shared and stay in the memory of their relay: raise max_payload of \
                 NATS (8 MB at most without its warning), or lower tee.max-body, which is {longest}"
            ),
        )
    })
}

async fn stream(
    session: &Session,
    looking: &Settings,
    policy: Policy,
    target: &CheckedTarget,
) -> Vec<Finding> {
    let spec = StreamSpec {
        target: target.name.clone(),
        max_bytes: target.max_bytes,
        max_age: target.max_age,
        ack_wait: looking.ack_wait(target.timeout),
    };
    let name = names::stream(&looking.prefix, &target.name);
    let mut findings = match provide(session, looking, &spec).await {
        Err(error) if error.is_missing() && policy == Policy::Manage => {
            if let Err(error) = may_create(session) {
                return vec![Finding::new(Level::Fault, error.line())];
            }
            let what = format!("stream {name} does not exist yet: the first relay creates it");
            return vec![Finding::new(Level::Ok, what)];
        }
        Err(error) => return vec![Finding::new(Level::Fault, error.line())],
        Ok(provided) => {
            let mut findings: Vec<_> = provided
                .warnings
                .iter()
                .map(|warning| Finding::new(Level::Warning, warning))
                .collect();
            let info = provided.stream.cached_info();
            findings.extend(replicas(&name, info.cluster.as_ref()));
            findings
        }
    };
    findings.push(may_publish(session, looking, target).await);
    findings.extend(skew(session, &name).await);
    if !findings.iter().any(|it| it.level > Level::Ok) {
        findings = vec![Finding::new(
            Level::Ok,
            format!("stream {name} is as it must be"),
        )];
    }
    findings
}

/// Replicas that are not current.
fn replicas(name: &str, cluster: Option<&ClusterInfo>) -> Vec<Finding> {
    let replicas = cluster.map(|it| &it.replicas[..]).unwrap_or_default();
    let late = replicas.iter().filter(|it| it.offline || !it.current);
    late.map(|it| {
        let what = format!("stream {name}: the replica on {} is not current", it.name);
        Finding::new(Level::Warning, what)
    })
    .collect()
}

/// Publishes what no stream accepts, because the message expects a stream of another name.
async fn may_publish(session: &Session, settings: &Settings, target: &CheckedTarget) -> Finding {
    let surface = settings.surfaces.first().map_or(0, |(number, _)| *number);
    let subject = names::subject(&settings.prefix, &target.name, SurfaceId(surface));
    let message = PublishMessage::build().expected_stream("no-such-stream");
    let answer = match session
        .jetstream
        .send_publish(subject.clone(), message)
        .await
    {
        Ok(answer) => answer.await,
        Err(error) => Err(error),
    };
    match answer {
        Err(error) if is_stream_mismatch(&error) => {
            Finding::new(Level::Ok, format!("this user may publish to {subject}"))
        }
        Err(error) => Finding::new(
            Level::Fault,
            format!("this user cannot publish to {subject}: {error}: allow it to"),
        ),
        Ok(_) => Finding::new(
            Level::Warning,
            format!(
                "NATS stored a message in the backlog of {} that it should have refused",
                target.name
            ),
        ),
    }
}

/// Whether the server refused a message because of the stream that the message expects.
fn is_stream_mismatch(error: &PublishError) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<Error>());
    source.is_some_and(|source| source.error_code() == ErrorCode::STREAM_NOT_MATCH)
}

/// What of a response says when the server sent it.
#[derive(Debug, Deserialize)]
struct Sent {
    #[serde(default)]
    ts: String,
}

/// The difference between the clocks of this machine and of the server, if it matters.
async fn skew(session: &Session, stream: &str) -> Option<Finding> {
    let request = format!("STREAM.INFO.{stream}");
    let response: Response<Sent> = session.jetstream.request(request, &()).await.ok()?;
    let Response::Ok(Sent { ts }) = response else {
        return None;
    };
    let server = SystemTime::from(parse_rfc3339(&ts).ok()?);
    let here = SystemTime::now();
    let skew = here
        .duration_since(server)
        .unwrap_or_else(|error| error.duration());
    (skew > MOST_SKEW).then(|| {
        Finding::new(
            Level::Warning,
            format!(
                "the clocks of this machine and of NATS differ by {} s: set both by NTP, or profiles expire too early \
                 or too late",
                skew.as_secs()
            ),
        )
    })
}

/// Streams of the prefix without a target in this configuration.
async fn others(session: &Session, settings: &Settings, targets: &[CheckedTarget]) -> Vec<Finding> {
    let listed = timeout(TO_LIST, rows(session, &settings.prefix)).await;
    let why = match listed {
        Ok(Ok(rows)) => return unknown(rows, targets),
        Ok(Err(error)) => error.to_string(),
        // As to everything that a user may not ask.
        Err(_) => "NATS does not respond: to look for them, allow $JS.API.STREAM.LIST and $JS.API.CONSUMER.LIST.> to this \
                   user, which relays do not need"
            .to_owned(),
    };
    let what = format!("streams without a target were not looked for: {why}");
    vec![Finding::new(Level::Ok, what)]
}

/// The streams in `rows` whose targets are not in `targets`.
fn unknown(rows: Vec<StreamRow>, targets: &[CheckedTarget]) -> Vec<Finding> {
    let unknown = rows
        .into_iter()
        .filter(|row| !targets.iter().any(|target| target.name == row.target));
    let tell = |row: StreamRow| {
        let what = format!(
            "stream {} has {} profiles of the target {}, which is not in this configuration: `pyrotee shared delete` \
             removes it if no relay has that target",
            row.stream, row.waiting, row.target
        );
        Finding::new(Level::Warning, what)
    };
    unknown.map(tell).collect()
}
