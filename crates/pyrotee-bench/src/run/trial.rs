//! A trial: one candidate in one cell.

use std::path::PathBuf;

use crate::{
    candidate::{Candidate, RelaySettings},
    load::Style,
    sink::Mode,
    tls::Encrypted,
    units::{KB, MB},
};

/// The load of the clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    /// Bytes of a body.
    pub(crate) size: usize,
    pub(crate) connections: usize,
    /// Requests a second; `None` is a closed loop.
    pub(crate) rate: Option<f64>,
    pub(crate) style: Style,
    /// Every request has a connection of its own.
    pub(crate) anew: bool,
    pub(crate) count: Option<u64>,
}

/// The kind of a trial: what it measures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Figures of steady load.
    Traffic,
    /// Latency while the last target changes: seconds after the begin, and the target's mode from then on.
    Timeline(Vec<(f64, Mode)>),
    /// Memory while the last target is stuck.
    Slope,
    /// Recovery of a target: delivery of the backlog, and latency of clients. The target is up from this second on.
    Recovery(f64),
    /// Memory of an idle process.
    Idle,
    /// The time from the start to the first response.
    Start,
    /// The cost of a request while a spool in this directory grows to this many bytes.
    Spool(PathBuf, u64),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    pub(crate) cell: String,
    pub(crate) candidate: Candidate,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) seconds: f64,
    /// Mode of the last target; the others are healthy.
    pub(crate) last: Mode,
    /// Mode of the healthy targets and of the upstream.
    pub(crate) healthy: Mode,
    pub(crate) relay: RelaySettings,
    pub(crate) encrypted: Encrypted,
    /// One target may fill the shared memory, so that profiles of healthy targets are dropped too.
    pub(crate) crowded: bool,
}

impl Shape {
    pub(crate) const fn open(size: usize, rate: f64) -> Self {
        // Enough connections for responses within a tenth of a second.
        let connections = if size >= MB { 16 } else { 64 };
        Self {
            size,
            connections,
            rate: Some(rate),
            style: Style::Length,
            anew: false,
            count: None,
        }
    }

    pub(crate) fn closed(size: usize, connections: usize) -> Self {
        Self {
            rate: None,
            connections,
            ..Self::open(size, 1.0)
        }
    }

    /// `50KB@500` for 500 a second, `50KBx32` for 32 connections in a closed loop.
    pub(crate) fn name(self) -> String {
        let size = match self.size {
            size if size >= MB => format!("{}MB", size / MB),
            size if size >= KB => format!("{}KB", size / KB),
            size => format!("{size}B"),
        };
        match self.rate {
            Some(rate) => format!("{size}@{rate}"),
            None => format!("{size}x{}", self.connections),
        }
    }
}

impl Trial {
    pub(crate) fn traffic(candidate: Candidate, shape: Shape, seconds: f64) -> Self {
        Self {
            cell: shape.name(),
            candidate,
            kind: Kind::Traffic,
            shape,
            seconds,
            last: Mode::Ok,
            healthy: Mode::Ok,
            relay: RelaySettings::default(),
            encrypted: Encrypted::default(),
            crowded: false,
        }
    }

    /// This trial with another mode of the last target, in a separate cell.
    pub(crate) fn with_last(mut self, name: &str, last: Mode) -> Self {
        self.last = last;
        self.named(name)
    }

    /// This trial in a cell whose name begins with `name`.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.cell = format!("{name}:{}", self.cell);
        self
    }

    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// This trial over TLS, in a separate cell. Also for the trial without TLS beside such trials.
    pub(crate) fn over(mut self, encrypted: Encrypted) -> Self {
        self.encrypted = encrypted;
        self.named(encrypted.name())
    }

    /// This trial with `bytes` of memory for all targets together; each target's queue may fill them.
    pub(crate) fn with_memory(mut self, bytes: u64) -> Self {
        self.relay.memory_limit = bytes;
        self.crowded = self.last != Mode::Ok;
        self
    }

    /// This trial with `bytes` of memory, of which one target's queue leaves room for the others.
    pub(crate) fn with_memory_apart(mut self, bytes: u64) -> Self {
        self.relay.memory_limit = bytes;
        self.relay
            .target
            .push(format!("queue-bytes: {}", bytes / 4));
        self
    }

    /// Changes the duration to `seconds`, and scales the times of changes within the trial.
    pub(crate) fn last_for(&mut self, seconds: f64) {
        let factor = seconds / self.seconds;
        self.seconds *= factor;
        match &mut self.kind {
            Kind::Timeline(changes) => changes.iter_mut().for_each(|(at, _)| *at *= factor),
            Kind::Recovery(back) => *back *= factor,
            _ => {}
        }
    }

    /// The mode of each sink: the upstream, then the targets.
    pub(crate) fn modes(&self) -> Vec<Mode> {
        let targets = self.candidate.targets();
        let mut modes = vec![self.healthy; 1 + targets];
        if let Some(last) = modes.get_mut(1..).and_then(<[Mode]>::last_mut)
            && self.last != Mode::Ok
        {
            *last = self.last;
        }
        modes
    }

    /// Number of healthy targets, at which every profile must arrive; they come before the others.
    pub(crate) fn healthy_targets(&self) -> usize {
        let sick =
            self.last != Mode::Ok || !matches!(self.kind, Kind::Traffic | Kind::Idle | Kind::Start);
        self.candidate.targets().saturating_sub(usize::from(sick))
    }
}
