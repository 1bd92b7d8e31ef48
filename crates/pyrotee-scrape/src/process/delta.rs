//! Subtracts the baseline of a loop.

use bytes::Bytes;
use pyroscope_wire::gzip;
use pyrotee_pprof::{Baseline, Delta, Pprof, PprofFault};
use pyrotee_queue::Workspace;

use super::unpack::Unpacked;
use super::{Expected, LoopState, Processed, Stop};
use crate::metrics::{Failure, Skip};

/// Memory of the index of a usual profile, in halves of its length.
pub(super) const FIRST_INDEX: u64 = 3;

/// Memory of the index of any profile that is read, in halves of its length.
const LARGEST_INDEX: u64 = 12;

/// Least memory of an index, in bytes.
const LEAST_INDEX: u64 = 64 * 1024;

/// Memory of a delta, in bytes: the profile, its index, the profile again with other values, that compressed, and the
/// old baseline beside the new one.
pub(super) fn memory(unpacked: u64, index: u64, old: &Baseline) -> u64 {
    let index = index_bytes(unpacked, index);
    let written = unpacked + unpacked / 2;
    unpacked + index + written + old.bytes() as u64
}

fn index_bytes(unpacked: u64, halves: u64) -> u64 {
    (unpacked * halves / 2).max(LEAST_INDEX)
}

impl LoopState {
    /// The profile since the last one, compressed; as it is if none of its types is cumulative.
    pub(super) fn delta(
        &mut self,
        unpacked: Unpacked,
        expected: &Expected,
        workspace: &mut Workspace,
    ) -> Result<Processed, Stop> {
        let profile = self.read(&unpacked, workspace)?;
        let types = profile.sample_types();
        let cumulative: Vec<bool> = types.map(|it| expected.is_cumulative(it.kind)).collect();
        let kinds = cumulative.iter().filter(|is| **is).count();
        if kinds == 0 {
            return Ok(unpacked.into_received());
        }
        let (stacks, time_nanos) = (profile.stacks(), unpacked.time_nanos);
        if !self.share.resize(Baseline::bytes_for(stacks, kinds) as u64) {
            return Err(self.without_room());
        }
        let delta = self.baseline.advance(&profile, &cumulative);
        let (written, is_reset) = match delta {
            Delta::First => {
                let text = "the first profile is the baseline of the next one";
                return Err(Stop::Skip(Skip::First, text.to_owned()));
            }
            Delta::Reset(written) => (written, true),
            Delta::Since(written) => (written, false),
        };
        let Some(written) = written else {
            let (skip, text) = match is_reset {
                true => (Skip::Reset, "the application was restarted"),
                false => (Skip::Empty, "nothing happened since the last profile"),
            };
            return Err(Stop::Skip(skip, text.to_owned()));
        };
        Ok(Processed {
            profile: gzip::compress(&[Bytes::from(written)]),
            time_nanos,
            stacks: Some(stacks),
            is_reset,
        })
    }

    /// Reads a profile with the memory of a usual index, or of the largest one.
    fn read<'a>(
        &self,
        unpacked: &'a Unpacked,
        workspace: &mut Workspace,
    ) -> Result<Pprof<'a>, Stop> {
        let content = &unpacked.content;
        let length = content.len() as u64;
        for halves in [FIRST_INDEX, LARGEST_INDEX] {
            let wanted = unpacked.packed_bytes as u64 + memory(length, halves, &self.baseline);
            if !workspace.grow_to(wanted) {
                return Err(Stop::NeedsMore(wanted));
            }
            let limit = usize::try_from(index_bytes(length, halves)).unwrap_or(usize::MAX);
            match Pprof::read(content, limit) {
                Err(PprofFault::TooLarge { .. }) if halves < LARGEST_INDEX => {}
                Ok(profile) => return Ok(profile),
                Err(fault) => {
                    let text = format!("the profile cannot be read for a delta: {fault}");
                    return Err(Stop::Fail(Failure::Delta, text));
                }
            }
        }
        let text = "the profile cannot be read for a delta".to_owned();
        Err(Stop::Fail(Failure::Delta, text))
    }

    /// Gives up the baseline, if there was one: without the new profile the next delta would be wrong.
    fn without_room(&mut self) -> Stop {
        let text = match self.baseline.is_empty() {
            true => "state-limit has no room for its baseline: raise scrape.state-limit",
            false => "its baseline outgrew state-limit and is given up: raise scrape.state-limit",
        };
        self.baseline = Baseline::default();
        self.share.clear();
        Stop::Skip(Skip::State, text.to_owned())
    }
}
