//! Why the stream of a target cannot be used.

use thiserror::Error;

/// Why the stream of a target cannot be used. The texts end with what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ProvideError {
    /// The stream is missing, and `shared.policy: bind` creates none.
    #[error("stream {stream} is missing: create it, or set shared.policy: manage")]
    StreamMissing { stream: String },
    /// A consumer is missing, and `shared.policy: bind` creates none.
    #[error(
        "consumer {consumer} of stream {stream} is missing: create it, or set shared.policy: manage"
    )]
    ConsumerMissing { stream: String, consumer: String },
    /// The server is too old to create consumers without overwriting others.
    #[error(
        "NATS {version} cannot create a consumer without overwriting another: upgrade NATS to 2.10 or newer, \
         or create streams and consumers yourself and set shared.policy: bind"
    )]
    OldServer { version: String },
    /// A setting of the stream or a consumer makes it unusable.
    #[error(
        "{what} of {name} is {found} and must be {needed}: correct it, or set another shared.prefix"
    )]
    Setting {
        /// The stream or the consumer.
        name: String,
        /// The setting.
        what: &'static str,
        found: String,
        needed: String,
    },
    /// The server refused a request.
    #[error("NATS refused to {what}: {error}{}", remedy(*code))]
    Refused {
        what: String,
        /// The number of the error, which NATS documents.
        code: u64,
        error: String,
    },
    /// The server did not answer.
    #[error(
        "NATS did not {what}: {error}; check that JetStream runs and that the permissions allow it"
    )]
    Unanswered { what: String, error: String },
}

/// What to do about an error of JetStream, with its separator.
fn remedy(code: u64) -> &'static str {
    match code {
        10002 | 10023 | 10028 | 10047 => {
            "; lower shared.max-bytes, or raise the limits of JetStream and of the account"
        }
        10039 => "; enable JetStream for the account",
        10058 => "; another stream has this name or these subjects: set another shared.prefix",
        10005 => "; start the servers of the cluster that are down, or lower shared.replicas",
        10074 => "; lower shared.replicas, or run more servers",
        10076 => "; start NATS with JetStream",
        10100 => {
            "; another consumer has the same subjects: delete it, or set another shared.prefix"
        }
        _ => "",
    }
}

impl ProvideError {
    /// Whether the stream or a consumer is missing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::StreamMissing { .. } | Self::ConsumerMissing { .. }
        )
    }
}
