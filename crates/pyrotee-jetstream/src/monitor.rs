//! Gauges and counters of the shared backlog.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use pyrotee_queue::lock;

use crate::backend::Backend;
use crate::counters::Counters;
use crate::fleet::Fleet;
use crate::link::LinkState;
use crate::record;
use crate::target::{Phase, StreamState, Target};

/// The shared backlog of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStats {
    /// The target.
    pub name: String,
    /// The name of its stream.
    pub stream: String,
    /// Whether the stream can be used.
    pub state: StreamState,
    /// Records that the stream holds for all relays, those that are being delivered included.
    pub waiting: u64,
    /// Bytes of the stream.
    pub bytes: u64,
    /// Most bytes of the stream; those of the configuration while the stream was not looked at, and if it has no limit.
    pub max_bytes: u64,
    /// Time since the oldest record entered the stream. `None`: it is empty.
    pub oldest: Option<Duration>,
    /// Records that this relay received and has not leased yet.
    pub buffered: u64,
    /// Records that this relay received and is delivering.
    pub leased: u64,
    /// Records that this relay is publishing.
    pub publishing: u64,
    /// Longest body, in bytes, that the broker takes; longer ones stay in memory. Zero: not connected yet.
    pub longest_body: u64,
    /// What kept profiles out of the stream within the last five minutes, each a line with what to do.
    pub notes: Vec<String>,
    /// What happened since the start of the process.
    pub counters: Counters,
}

/// Gauges and counters of the shared backlog at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The connection to NATS.
    pub link: LinkState,
    /// Relays that share the backlog, this one included.
    pub relays: u32,
    /// The targets that are in force and share their backlog.
    pub targets: Vec<TargetStats>,
}

/// Reads the gauges and counters of the shared backlog.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) backend: Arc<Backend>,
    pub(crate) fleet: Fleet,
}

impl Monitor {
    /// The gauges and counters now. Cheap: the broker is not asked.
    pub fn stats(&self) -> Stats {
        let targets = self.backend.targets();
        let shown = targets.iter().filter(|it| it.phase() != Phase::Removed);
        Stats {
            link: self.backend.parts.link.state(),
            relays: *self.fleet.relays().borrow(),
            targets: shown.map(|it| TargetStats::of(it)).collect(),
        }
    }
}

impl TargetStats {
    fn of(target: &Target) -> Self {
        let (gauges, now) = (*lock(&target.gauges), SystemTime::now());
        let sharing = target.sharing();
        let beside = sharing.tags.len() as u64 + record::LIKELY_BESIDE;
        Self {
            name: target.name.clone(),
            stream: target.stream.clone(),
            state: lock(&target.state).clone(),
            waiting: gauges.waiting,
            bytes: gauges.bytes,
            max_bytes: gauges.max_bytes.unwrap_or(sharing.max_bytes),
            oldest: gauges
                .oldest
                .map(|at| now.duration_since(at).unwrap_or_default()),
            buffered: target.shelf.buffered() as u64,
            leased: target.shelf.leased() as u64,
            publishing: target.publishing.load(Relaxed),
            longest_body: gauges.longest.saturating_sub(beside),
            notes: target.obstacles.lines(),
            counters: target.counters(),
        }
    }
}
