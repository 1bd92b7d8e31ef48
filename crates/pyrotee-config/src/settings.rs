//! The settings of a configuration as plain values: typed, checked and complete. These types belong to the
//! configuration alone; `pyrotee` converts them into the settings of each crate.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use pyroscope_wire::refusal::Rules;
use pyroscope_wire::{SurfacePaths, TagKeys, Tags};
use pyrotee_net::{Address, Listen};
use pyrotee_scrape_config::Scrape;
use pyrotee_tls::{ClientAuth, ClientTls, ClientTlsSettings, ServerTls, ServerTlsSettings};
use secrecy::SecretString;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients send requests.
    pub listen: Listen,
    /// TLS of `listen`; `None` speaks plain HTTP.
    pub listen_tls: Option<ListenerTls>,
    /// Where metrics and health checks are served; never reachable through `listen`.
    pub admin: Listen,
    /// TLS of `admin`; `None` speaks plain HTTP. The handshake never requires a certificate, see [`ListenerTls::tls`].
    pub admin_tls: Option<ListenerTls>,
    /// Bearer token of admin requests that change state or read dead letters; `None` allows them from
    /// loopback only.
    pub admin_token: Option<SecretString>,
    /// Names of this relay in the `Host` header of admin requests, beside those that always pass. In
    /// lower case; `*.` at the start stands for one or more labels.
    pub admin_hosts: Vec<String>,
    /// The local Pyroscope; `None` if local writes are disabled and no address was given.
    pub upstream: Option<Upstream>,
    /// Limit of memory for bodies being received, queued and sent, in bytes, for all targets together.
    pub memory_limit: u64,
    pub tee: Tee,
    /// The disk queue; `None` keeps queued profiles in memory alone.
    pub spool: Option<Spool>,
    /// Where profiles that a target rejected are kept; `None` keeps none.
    pub dead_letters: Option<DeadLetters>,
    /// The backlog of each target on NATS JetStream; `None` keeps it in this relay. Excludes `spool`.
    pub shared: Option<Shared>,
    /// How long requests and queues may take to finish after a signal; may be zero.
    pub shutdown_grace: Duration,
    pub reload: Reload,
    pub log: Log,
    /// Pull mode: the jobs and their limits. Without jobs nothing is scraped.
    pub scrape: Scrape,
    pub remote_write: RemoteWrite,
    pub(crate) warnings: Vec<String>,
}

/// The local Pyroscope, to which every request is forwarded.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub address: Address,
    /// `None` if the address is `http://`.
    pub tls: Option<OutgoingTls>,
    /// From the end of the request body to the head of the response.
    pub timeout: Duration,
    /// Whether `X-Forwarded-For`, `-Host` and `-Proto` are appended.
    pub forwarded_headers: bool,
    /// Most connections at once; `None` for as many as the limit of file descriptors allows.
    pub max_connections: Option<NonZeroUsize>,
}

/// TLS towards the upstream or a target.
#[derive(Clone, Debug)]
pub struct OutgoingTls {
    /// The keys of the section, and the contents of its files.
    pub settings: ClientTlsSettings,
    /// What the connections use.
    pub tls: ClientTls,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// The keys of the section, and the contents of its files.
    pub settings: ServerTlsSettings,
    /// What the connections use. With `client-auth: require` of `admin`, the handshake only requests a certificate, because
    /// health checks have none; the settings say `require`.
    pub tls: ServerTls,
}

impl ListenerTls {
    /// Whether every client needs a certificate (`client-auth: require`).
    #[must_use]
    pub fn requires_certificate(&self) -> bool {
        self.settings.client_auth == ClientAuth::Require
    }
}

/// Which ingestion requests are recorded for the targets.
#[derive(Clone, Debug)]
pub struct Tee {
    /// Longest body that is recorded, in bytes; a longer one still goes to the upstream.
    pub max_body: u64,
    pub on: TeeOn,
    pub duplicates: Duplicates,
}

/// The spool: the directory of queued records, and its limits.
#[derive(Clone, Debug)]
pub struct Spool {
    pub dir: PathBuf,
    /// Limit of all segments together, in bytes.
    pub max_bytes: u64,
    /// Length at which a segment is full, in bytes.
    pub segment_bytes: u64,
    pub fsync: FsyncPolicy,
}

/// The directory of dead letters, and its limit.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    pub dir: PathBuf,
    /// Limit of all files together, in bytes.
    pub max_bytes: u64,
}

/// The backlog of each target on NATS JetStream, shared by all relays with the same `prefix`.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The servers of one cluster, at least one, in the order of the configuration.
    pub servers: Vec<SharedServer>,
    pub auth: SharedAuth,
    /// TLS of the servers whose `tls` is set; `None` if there is none.
    pub tls: Option<OutgoingTls>,
    /// Start of the names of streams and subjects: 1 to 32 letters, digits, `_` and `-`.
    pub prefix: String,
    /// Age at which a queued profile is handed over, 1 s to 1 h.
    pub after: Duration,
    pub policy: SharedPolicy,
    /// Copies of a stream in the cluster, 1 to 5.
    pub replicas: u8,
    /// Limit of the stream of a target without a `shared_max_bytes`, in bytes.
    pub max_bytes: u64,
    /// Directory of a former spool, whose profiles are still sent; `None`: there is none.
    pub drain_spool: Option<PathBuf>,
}

/// A NATS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedServer {
    /// A name or an IP address, an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// Whether the relay speaks TLS to the server: its address is `tls://`, or `shared.tls` has a key.
    pub tls: bool,
    /// `nats://HOST:PORT`, or `tls://HOST:PORT` with TLS. Holds no secret.
    pub text: String,
}

/// How the relay logs in to NATS.
#[derive(Clone, Debug)]
pub enum SharedAuth {
    /// Without credentials, or with those that the certificate of `shared.tls` stands for.
    None,
    Token(SecretString),
    User {
        user: String,
        password: SecretString,
    },
    /// Absolute path of a file with JWT and seed, to be read for each new connection.
    CredsFile(PathBuf),
    /// Absolute path of a file with the seed of an nkey, to be read for each new connection.
    NkeyFile(PathBuf),
}

/// What the relay may do with streams and consumers (`shared.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedPolicy {
    /// Create those that are missing.
    Manage,
    /// Use those that are there.
    Bind,
}

/// When written records are synced to the disk, so that they survive a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// Before the relay acknowledges a profile to its client.
    Always,
    /// At most a tenth of a second after the write.
    Interval,
    /// At a time that the operating system chooses.
    Never,
}

/// When the configuration is loaded again, and how long a removed target is still delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Time between two looks at the file of the configuration and at the files that it names; zero looks at them on
    /// request only.
    pub interval: Duration,
    /// How long the queued profiles of a removed target are still delivered; may be zero.
    pub drain: Duration,
}

/// Level and format of the log.
#[derive(Clone, Debug)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The targets, and whether profiles are sent to them.
#[derive(Clone, Debug)]
pub struct RemoteWrite {
    /// `false` makes pyrotee a plain proxy, which tees nothing.
    pub enabled: bool,
    /// `Forward` whenever `enabled` is false, as in Pyroscope 0.37.
    pub local_writes: LocalWrites,
    /// The targets in the order of the file, then the targets that only the environment names.
    pub targets: Vec<Target>,
}

/// What happens to an ingestion request locally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalWrites {
    /// The request is forwarded to the upstream, which responds.
    Forward,
    /// The request is not forwarded; the relay responds.
    Discard,
}

/// Which profiles are teed (`tee.on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeeOn {
    /// Every profile that arrives whole, whatever the upstream's response is.
    Always,
    /// Profiles to which the upstream responded with 2xx.
    UpstreamSuccess,
}

/// What to do with a client's retry of a profile that was already teed (`tee.duplicates`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// Relay it without teeing it again.
    Drop,
    /// Tee it like any other profile.
    Tee,
}

/// One remote Pyroscope. Fields are named as the keys that set them.
#[derive(Clone, Debug)]
pub struct Target {
    /// The key in the map of targets: the target's identity, 1 to 63 characters.
    pub name: String,
    pub address: Address,
    /// `None` if the address is `http://`.
    pub tls: Option<OutgoingTls>,
    /// Credentials from `auth-token`, `basic-auth-*` or the address; `None` sends none.
    pub credentials: Option<Credentials>,
    /// `tenant-id`; `None` sends no tenant.
    pub tenant: Option<String>,
    /// Headers of every upload, in the order of the file. Their values may be secrets.
    pub headers: Vec<(HeaderName, SecretString)>,
    pub tags: Tags,
    pub tag_keys: TagKeys,
    /// Paths of the surfaces at the target, where they differ from Pyroscope's.
    pub paths: SurfacePaths,
    /// Limit of one whole upload, connecting included.
    pub timeout: Duration,
    /// Profiles that may be pending.
    pub queue_size: usize,
    /// Bytes of profiles that may be pending.
    pub queue_bytes: u64,
    /// Most uploads at once.
    pub queue_workers: usize,
    pub on_full: OnFull,
    /// Age, counted from receipt, at which a profile is dropped; `None` keeps it until it is delivered.
    pub max_age: Option<Duration>,
    pub on_ambiguous: OnAmbiguous,
    /// Most bytes per second at which a backlog is sent; `None` is no limit.
    pub replay_rate: Option<NonZeroU64>,
    /// Limit of the target's stream in the shared backlog, in bytes; `None`: `shared.max_bytes`.
    pub shared_max_bytes: Option<u64>,
    /// What responses mean: the rules of `outcomes` in front of the built-in ones.
    pub outcomes: Rules,
}

/// Credentials that pyrotee sends to a target.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `Authorization: Basic` (RFC 7617). `user` holds no colon; `password` may be empty.
    Basic {
        user: SecretString,
        password: SecretString,
    },
}

/// Which profile is dropped when a target's queue is full (`on-full`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// The new profile, for which the queue has no room.
    DropNewest,
    /// As many of the oldest profiles as necessary to make room.
    DropOldest,
}

/// What to do with a profile when it is unknown whether the target received it (`on-ambiguous`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// Send the profile again; the target may count it twice.
    Retry,
    /// Drop and count the profile, which is lost if the target did not receive it.
    Drop,
}

impl Target {
    /// The kind of credentials that the target gets, in words; shows no secret.
    #[must_use]
    pub fn credentials_kind(&self) -> &'static str {
        let mut headers = self.headers.iter();
        match &self.credentials {
            Some(Credentials::Bearer(_)) => "token",
            Some(Credentials::Basic { .. }) => "user and password",
            None if headers.any(|(name, _)| name == http::header::AUTHORIZATION) => {
                "an Authorization header"
            }
            None => "no credentials",
        }
    }
}

impl Config {
    /// Warnings of settings that are allowed but probably not meant, one sentence each, to be logged at
    /// start. They hold no secret.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
