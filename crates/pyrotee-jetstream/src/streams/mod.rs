//! The stream and the consumers of each target: what they must be like, how they are created and verified.

mod fault;
mod provide;
mod verify;

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use pyrotee_queue::SurfaceId;

pub(crate) use fault::{ProvideError, remedy_of};
pub(crate) use provide::{longest, may_create, provide};

use crate::names;

/// How long the broker knows the identifiers of stored records, so that a record that is published again is not stored
/// twice.
pub(crate) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The broker removes records this much after their age limit, without telling anybody; the relays remove and count
/// them before.
const AGE_MARGIN: Duration = Duration::from_secs(600);

/// The version of the records, in the metadata of the stream.
const FORMAT: (&str, &str) = ("pyrotee-format", "1");

/// What the stream of a target must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamSpec {
    /// Name of the target.
    pub(crate) target: String,
    /// Most bytes of the stream.
    pub(crate) max_bytes: u64,
    /// Age at which the target's records expire; `None`: never.
    pub(crate) max_age: Option<Duration>,
    /// Time after which the broker gives an unsettled record to another relay.
    pub(crate) ack_wait: Duration,
}

impl StreamSpec {
    /// The configuration with which the stream is created.
    fn stream(&self, prefix: &str, replicas: usize, max_payload: usize) -> Config {
        let max_age = self.max_age.map(|age| age.saturating_add(AGE_MARGIN));
        Config {
            name: names::stream(prefix, &self.target),
            subjects: vec![names::subjects(prefix, &self.target)],
            description: Some(format!("backlog of the pyrotee target {}", self.target)),
            retention: RetentionPolicy::WorkQueue,
            // Records that do not fit stay with their relay, which counts what it drops.
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: replicas,
            max_bytes: i64::try_from(self.max_bytes).unwrap_or(i64::MAX),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            max_age: max_age.unwrap_or_default(),
            max_message_size: i32::try_from(max_payload).unwrap_or(i32::MAX),
            duplicate_window: DUPLICATE_WINDOW,
            metadata: HashMap::from([(FORMAT.0.to_owned(), FORMAT.1.to_owned())]),
            ..Config::default()
        }
    }

    /// The configuration with which the consumer of a surface is created.
    fn consumer(&self, prefix: &str, surface: SurfaceId) -> pull::Config {
        pull::Config {
            durable_name: Some(names::consumer(surface)),
            filter_subject: names::subject(prefix, &self.target, surface),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            // Records that wait for their retry count as pending: with a limit they would hold up all others.
            max_ack_pending: -1,
            // At a limit the record would stay in the stream for ever.
            max_deliver: -1,
            ..pull::Config::default()
        }
    }
}
