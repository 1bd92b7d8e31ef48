//! What the proxy is told to do; nothing in here is left to check.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use pyrotee_net::{Connector, Listen};
use pyrotee_queue::{Budget, Producer};

/// What the proxy is to do.
#[derive(Debug)]
pub struct Settings {
    /// Where clients come in.
    pub listen: Listen,
    /// The local Pyroscope; `None` if there is none.
    pub upstream: Option<Upstream>,
    /// Whether ingestion goes to the upstream.
    pub local_writes: LocalWrites,
    /// What is teed; `None`: nothing, a pure proxy.
    pub tee: Option<TeeSettings>,
}

/// The local Pyroscope.
#[derive(Debug)]
pub struct Upstream {
    /// Scheme and authority.
    pub origin: Uri,
    /// Opens connections to it.
    pub connector: Connector,
    /// From the end of a request's body to the head of its answer.
    pub timeout: Duration,
    /// Whether `X-Forwarded-For`, `-Host` and `-Proto` are added.
    pub forwarded_headers: bool,
}

/// What becomes of profiles locally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalWrites {
    /// They go to the upstream, which answers.
    Forward,
    /// They go to the targets alone; the relay answers.
    Discard,
}

/// Which profiles are teed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeeOn {
    /// All that arrive whole, whatever the upstream answers.
    Always,
    /// Those that the upstream answered with 2xx.
    UpstreamSuccess,
}

/// What becomes of a request that its client repeats because it got no 2xx, although its profile was
/// teed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// It is relayed and not teed.
    Drop,
    /// It is teed like any other.
    Tee,
}

/// The tee.
#[derive(Debug)]
pub struct TeeSettings {
    /// Largest body that is teed, in bytes.
    pub max_body: u64,
    /// Which profiles are teed.
    pub on: TeeOn,
    /// Whether repetitions are.
    pub duplicates: Duplicates,
    /// The memory that recordings are charged to.
    pub budget: Arc<Budget>,
    /// The targets.
    pub producer: Arc<dyn Producer>,
}
