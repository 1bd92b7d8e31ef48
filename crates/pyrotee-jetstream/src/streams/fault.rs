//! Why the stream of a target cannot be used.

use thiserror::Error;

use crate::link::{ENABLE_FOR_ACCOUNT, ENABLE_JETSTREAM, NO_JETSTREAM};

/// Why the stream of a target cannot be used. [`ProvideError::remedy`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ProvideError {
    /// The stream is missing, and `shared.policy: bind` creates none.
    #[error("stream {stream} is missing")]
    StreamMissing { stream: String },
    /// A consumer is missing, and `shared.policy: bind` creates none.
    #[error("consumer {consumer} of stream {stream} is missing")]
    ConsumerMissing { stream: String, consumer: String },
    /// The server is too old to create consumers without overwriting others.
    #[error("NATS {version} cannot create a consumer without overwriting another")]
    OldServer { version: String },
    /// A setting of the stream or a consumer makes it unusable.
    #[error("{what} of {name} is {found} and must be {needed}")]
    Setting {
        /// The stream or the consumer.
        name: String,
        /// The setting.
        what: &'static str,
        found: String,
        needed: String,
    },
    /// The server refused a request.
    #[error("NATS refused to {what}: {error}")]
    Refused {
        what: String,
        /// The number of the error, which NATS documents.
        code: u64,
        error: String,
    },
    /// Nobody serves JetStream for this account.
    #[error("{NO_JETSTREAM}")]
    NoJetStream,
    /// The server did not answer.
    #[error("NATS did not {what}: {error}")]
    Unanswered { what: String, error: String },
}

/// What to do about an error of JetStream.
pub(crate) fn remedy_of(code: u64) -> &'static str {
    match code {
        10004 | 10006 | 10008 | 10009 | 10118 => "start more NATS servers: of three, two must run",
        10002 | 10023 | 10028 | 10047 => {
            "lower shared.max-bytes, or raise the limits of JetStream and of the account"
        }
        10039 => ENABLE_FOR_ACCOUNT,
        10058 => "set another shared.prefix: another stream has this name or these subjects",
        10005 => "start the servers of the cluster that are down, or lower shared.replicas",
        10074 => "lower shared.replicas, or run more servers",
        10076 => ENABLE_JETSTREAM,
        10100 => "delete the other consumer of the same subjects, or set another shared.prefix",
        _ => "read the log of the NATS server",
    }
}

impl ProvideError {
    /// What to do.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::StreamMissing { .. } | Self::ConsumerMissing { .. } => {
                "create the stream and its consumers, or set shared.policy: manage"
            }
            Self::OldServer { .. } => {
                "upgrade NATS to 2.10 or newer, or create streams and consumers yourself and set shared.policy: bind"
            }
            Self::Setting { .. } => "correct it, or set another shared.prefix",
            Self::Refused { code, .. } => remedy_of(*code),
            Self::NoJetStream => ENABLE_JETSTREAM,
            Self::Unanswered { .. } => {
                "check JetStream on the servers, and the permissions of the relay's user"
            }
        }
    }

    /// The error and what to do, in one line.
    pub(crate) fn line(&self) -> String {
        format!("{self}: {}", self.remedy())
    }

    /// Whether the stream or a consumer is missing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::StreamMissing { .. } | Self::ConsumerMissing { .. }
        )
    }
}
