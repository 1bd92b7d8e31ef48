//! From the body of a response to the profile that is sent: unpacks it, checks that it is a profile, and subtracts the
//! baseline from cumulative values.
//!
//! All of it computes and never waits, so it runs off the threads that serve requests. Memory is charged to the
//! workspace before it is used.

mod delta;
mod unpack;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use pyroscope_wire::scrape::Profile;
use pyrotee_pprof::Baseline;
use pyrotee_queue::Workspace;

use crate::limits::{StateLimit, StateShare};
use crate::metrics::{Failure, Skip};

/// The baseline of one loop.
#[derive(Debug)]
pub(crate) struct LoopState {
    baseline: Baseline,
    share: StateShare,
}

/// The body of a response.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) body: Bytes,
    /// `Content-Encoding`.
    pub(crate) coding: Option<HeaderValue>,
}

/// What is known of the profile.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Longest profile when it is unpacked, in bytes.
    pub(crate) max_unpacked: usize,
    /// The profile of the job.
    pub(crate) profile: Arc<Profile>,
}

/// A profile to send.
#[derive(Debug)]
pub(crate) struct Processed {
    /// As it was received, or a delta, compressed.
    pub(crate) profile: Bytes,
    /// When the profile was taken, in nanoseconds since 1970; 0 if it does not say.
    pub(crate) time_nanos: i64,
    /// Number of stacks of which this is the delta.
    pub(crate) stacks: Option<usize>,
    /// Whether the application was restarted.
    pub(crate) is_reset: bool,
}

/// Why there is no profile to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The workspace must have so many bytes. The baseline is as it was.
    NeedsMore(u64),
    Skip(Skip, String),
    Fail(Failure, String),
}

impl LoopState {
    pub(crate) fn new(limit: &Arc<StateLimit>) -> Self {
        Self {
            baseline: Baseline::default(),
            share: limit.share(),
        }
    }

    /// The size of the workspace to begin with, in bytes.
    pub(crate) fn first_workspace(&self, received: &Received, expected: &Expected) -> u64 {
        let body = std::slice::from_ref(&received.body);
        let unpacked = pyroscope_wire::gzip::expected_length_of(body).max(received.body.len());
        let unpacked = unpacked.min(expected.max_unpacked) as u64;
        match expected.has_deltas() {
            true => delta::memory(unpacked, delta::FIRST_INDEX, &self.baseline),
            false => unpacked,
        }
    }

    /// Makes the profile to send. Only a profile that was read whole becomes the baseline.
    ///
    /// # Errors
    /// There is nothing to send, and why.
    pub(crate) fn process(
        &mut self,
        received: &Received,
        expected: &Expected,
        workspace: &mut Workspace,
    ) -> Result<Processed, Stop> {
        let unpacked = unpack::unpack(received, expected.max_unpacked, workspace)?;
        match expected.has_deltas() {
            true => self.delta(unpacked, expected, workspace),
            false => Ok(unpacked.into_received()),
        }
    }
}

impl Expected {
    fn has_deltas(&self) -> bool {
        self.profile.sample_types.values().any(|it| it.cumulative)
    }

    /// Whether the values of a type are cumulative.
    fn is_cumulative(&self, kind: &[u8]) -> bool {
        let kind = std::str::from_utf8(kind).ok();
        let known = kind.and_then(|kind| self.profile.sample_types.get(kind));
        known.is_some_and(|it| it.cumulative)
    }
}
