//! The settings that the rest of the program gets: typed, checked, complete. Where a crate has a type
//! for a choice, that is the type here, so that nothing is chosen twice.

use std::path::PathBuf;
use std::time::Duration;

pub use pyrotee_delivery::{Credentials, OnAmbiguous};
use pyrotee_net::Address;
pub use pyrotee_proxy::{Duplicates, Listen, LocalWrites, TeeOn};
pub(super) use pyrotee_queue::Limits;
pub use pyrotee_queue::WhenFull;
use secrecy::SecretString;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients send requests.
    pub listen: Listen,
    /// Where metrics and health checks are served; never reachable through `listen`.
    pub admin: Listen,
    /// What whoever is not on this machine shows to change something there; `None` lets nobody else.
    pub admin_token: Option<SecretString>,
    /// The local Pyroscope; `None` if nothing is written locally and no address was given.
    pub upstream: Option<Upstream>,
    /// Bytes that bodies being received, queued and sent may take, all targets together.
    pub memory_limit: u64,
    pub tee: Tee,
    /// Where profiles wait on disk; `None` keeps them in memory alone.
    pub spool: Option<Spool>,
    /// Where profiles are kept that a target rejected; `None` keeps none.
    pub dead_letters: Option<DeadLetters>,
    /// How long requests and queues may take to finish after a signal; may be zero.
    pub shutdown_grace: Duration,
    pub log: Log,
    pub remote_write: RemoteWrite,
    pub(super) warnings: Vec<String>,
}

/// The local Pyroscope that every request goes to.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub address: Address,
    /// From the end of the request body to the head of the response.
    pub timeout: Duration,
    /// Whether `X-Forwarded-For`, `-Host` and `-Proto` are appended.
    pub forwarded_headers: bool,
}

/// What is recorded of the requests that pass.
#[derive(Clone, Debug)]
pub struct Tee {
    /// Longest body that is recorded, in bytes; a longer one still goes to the upstream.
    pub max_body: u64,
    pub on: TeeOn,
    pub duplicates: Duplicates,
}

/// The spool.
#[derive(Clone, Debug)]
pub struct Spool {
    pub dir: PathBuf,
    /// Limit of all segments together, in bytes.
    pub max_bytes: u64,
    /// Length at which a segment is full, in bytes.
    pub segment_bytes: u64,
    pub fsync: FsyncPolicy,
}

/// Profiles that a target rejected.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    pub dir: PathBuf,
    /// Limit of all files together, in bytes.
    pub max_bytes: u64,
}

/// When what was written is made to survive a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// Before a client is told that its profile was taken.
    Always,
    /// A tenth of a second later at most.
    Interval,
    /// When the operating system likes to.
    Never,
}

/// What goes to the log, and how it looks.
#[derive(Clone, Debug)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// The least grave thing that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The targets, and whether anything goes to them.
#[derive(Clone, Debug)]
pub struct RemoteWrite {
    /// If not, pyrotee is a proxy and nothing else.
    pub enabled: bool,
    /// `Forward` whenever `enabled` is false, as in Pyroscope 0.37.
    pub local_writes: LocalWrites,
    /// In the order of the file, then those that only the environment names.
    pub targets: Vec<Target>,
}

/// One remote Pyroscope.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its identity and everything about its uploads.
    pub upload: pyrotee_delivery::Settings,
    /// What may wait for it.
    pub queue: Limits,
}

impl Config {
    /// What is allowed but probably not meant, one sentence each, to be logged at start. Holds no
    /// secret.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
