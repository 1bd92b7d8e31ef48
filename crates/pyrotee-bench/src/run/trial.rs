//! One candidate in one cell.

use std::path::PathBuf;

use crate::{
    candidate::{Candidate, RelaySettings},
    load::Style,
    sink::Mode,
    units::{KB, MB},
};

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    /// Bytes of a body.
    pub(crate) size: usize,
    pub(crate) connections: usize,
    /// Requests a second; `None` is a closed loop.
    pub(crate) rate: Option<f64>,
    pub(crate) style: Style,
    pub(crate) count: Option<u64>,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Figures of steady load.
    Traffic,
    /// Latency while the last target changes: seconds after the begin, and how it behaves from then on.
    Timeline(Vec<(f64, Mode)>),
    /// Memory while the last target is stuck.
    Slope,
    /// A target that comes back: the backlog, and those who send meanwhile. From when on it is there.
    Recovery(f64),
    /// A process that has nothing to do.
    Idle,
    /// The time from the start to the first response.
    Start,
    /// The cost of a request while a spool in this directory grows to so many bytes.
    Spool(PathBuf, u64),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    pub(crate) cell: String,
    pub(crate) candidate: Candidate,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) seconds: f64,
    /// How the last target behaves; the others are healthy.
    pub(crate) last: Mode,
    /// How those behave that are healthy.
    pub(crate) healthy: Mode,
    pub(crate) relay: RelaySettings,
    /// One target may fill the memory that all of them share, so that profiles are lost for the healthy ones, too.
    pub(crate) crowded: bool,
}

impl Shape {
    pub(crate) const fn open(size: usize, rate: f64) -> Self {
        // Enough that none is missing while responses take less than a tenth of a second.
        let connections = if size >= MB { 16 } else { 64 };
        Self {
            size,
            connections,
            rate: Some(rate),
            style: Style::Length,
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
            crowded: false,
        }
    }

    /// The same with a last target that behaves so, in a cell of its own.
    pub(crate) fn with_last(mut self, name: &str, last: Mode) -> Self {
        self.last = last;
        self.named(name)
    }

    /// The same in a cell whose name begins with this.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.cell = format!("{name}:{}", self.cell);
        self
    }

    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same with so much memory for all targets together, each of which may fill it.
    pub(crate) fn with_memory(mut self, bytes: u64) -> Self {
        self.relay.memory_limit = bytes;
        self.crowded = self.last != Mode::Ok;
        self
    }

    /// The same with room for the others when one target takes all that it may.
    pub(crate) fn with_memory_apart(mut self, bytes: u64) -> Self {
        self.relay.memory_limit = bytes;
        self.relay
            .target
            .push(format!("queue-bytes: {}", bytes / 4));
        self
    }

    /// The same in so many seconds. What happens meanwhile happens earlier, or later.
    pub(crate) fn last_for(&mut self, seconds: f64) {
        let factor = seconds / self.seconds;
        self.seconds *= factor;
        match &mut self.kind {
            Kind::Timeline(changes) => changes.iter_mut().for_each(|(at, _)| *at *= factor),
            Kind::Recovery(back) => *back *= factor,
            _ => {}
        }
    }

    /// How each sink behaves: the upstream, then the targets.
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

    /// Targets, by index, from which everything is expected.
    pub(crate) fn healthy_targets(&self) -> usize {
        let sick =
            self.last != Mode::Ok || !matches!(self.kind, Kind::Traffic | Kind::Idle | Kind::Start);
        self.candidate.targets().saturating_sub(usize::from(sick))
    }
}
