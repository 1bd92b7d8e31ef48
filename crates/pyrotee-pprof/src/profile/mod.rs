//! A profile in the format of pprof: its samples by stack, and the profile again with other values.
//!
//! The bytes are scanned and never become objects: an index has some bytes for each location, function, string and
//! stack, and what is kept is copied. Field numbers: `profile.proto` of github.com/google/pprof.

mod index;
mod repeated;
mod stacks;
#[cfg(test)]
mod tests;
mod write;

use std::ops::Range;

use index::Index;
use pyroscope_wire::{ProtobufFault, Undecodable};
use stacks::Stacks;

/// Most types of values of one profile. Go's profiles have four at most.
const MAX_TYPES: usize = 16;

/// A profile that was read. It borrows the bytes, which are not compressed.
#[derive(Debug)]
pub struct Pprof<'a> {
    source: &'a [u8],
    index: Index,
    stacks: Stacks,
}

/// The type of one value of each sample, such as `alloc_space` in `bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleType<'a> {
    pub kind: &'a [u8],
    pub unit: &'a [u8],
}

/// Why bytes are not a profile that can be read. `Display` contains nothing of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PprofFault {
    #[error("it is not protobuf: {0}")]
    Protobuf(ProtobufFault),
    #[error("it has no sample types, or more than {MAX_TYPES}")]
    Types,
    #[error("a sample has more or fewer values than there are sample types")]
    Values,
    #[error("it refers to a location, a function or a string that it does not have")]
    Reference,
    #[error("its index needs more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
}

impl<'a> Pprof<'a> {
    /// Reads a profile. Its index may take `limit_bytes` of memory; a usual profile needs about its own length.
    ///
    /// # Errors
    /// The bytes are not a whole profile, or the index needs more memory.
    pub fn read(source: &'a [u8], limit_bytes: usize) -> Result<Self, PprofFault> {
        let index = Index::read(source, limit_bytes)?;
        let stacks = Stacks::read(source, &index)?;
        Ok(Self {
            source,
            index,
            stacks,
        })
    }

    /// The types of the values, in their order.
    pub fn sample_types(&self) -> impl ExactSizeIterator<Item = SampleType<'a>> {
        self.index.types.iter().map(|(kind, unit)| SampleType {
            kind: self.text(*kind),
            unit: self.text(*unit),
        })
    }

    /// Number of different stacks. Samples of equal stacks and labels are one stack.
    pub fn stacks(&self) -> usize {
        self.stacks.keys.len()
    }

    /// The identity of a stack: a hash of its locations and labels that is the same in every profile of one process.
    /// A location is its address, or function, file and line where the address is 0.
    pub fn key(&self, stack: usize) -> Option<u128> {
        self.stacks.keys.get(stack).copied()
    }

    /// The values of a stack, one for each sample type: the sums over its samples.
    pub fn values(&self, stack: usize) -> &[i64] {
        let types = self.index.types.len();
        let start = stack.saturating_mul(types);
        let values = self.stacks.values.get(start..start.saturating_add(types));
        values.unwrap_or_default()
    }

    /// When the profile was taken, in nanoseconds since 1970; 0 if the profile does not say.
    pub fn time_nanos(&self) -> i64 {
        self.index.time_nanos
    }

    /// The profile with other values: `values` has those of all stacks, one for each sample type. Stacks whose values
    /// are all 0 are left out, and with them the locations, functions and texts that only they use. A negative value
    /// is written as 0. `duration_nanos`: the time that the values cover; `None` keeps the time of this profile.
    ///
    /// Returns `None` if no value is above 0.
    pub fn with_values(&self, values: &[i64], duration_nanos: Option<i64>) -> Option<Vec<u8>> {
        write::with_values(self, values, duration_nanos)
    }

    fn text(&self, string: u32) -> &'a [u8] {
        self.index.string(self.source, string).unwrap_or_default()
    }
}

impl From<Undecodable> for PprofFault {
    fn from(fault: Undecodable) -> Self {
        match fault {
            Undecodable::Protobuf(fault) => Self::Protobuf(fault),
            _ => Self::Protobuf(ProtobufFault::Type),
        }
    }
}

/// A range of the source in half the memory of a `Range<usize>`.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(range: &Range<usize>) -> Result<Self, PprofFault> {
        let small = |at: usize| u32::try_from(at).map_err(|_| TOO_LONG);
        Ok(Self {
            start: small(range.start)?,
            end: small(range.end)?,
        })
    }

    fn range(self) -> Range<usize> {
        usize::try_from(self.start).unwrap_or_default()
            ..usize::try_from(self.end).unwrap_or_default()
    }
}

/// The fault of a profile with 4 GiB or more.
const TOO_LONG: PprofFault = PprofFault::TooLarge {
    limit_bytes: u32::MAX as usize,
};
