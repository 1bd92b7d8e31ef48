//! Profiles in the format of pprof: reads them by stack, and computes what happened since the last profile of a
//! process. Everything here is a pure function of bytes.

mod delta;
#[cfg(test)]
mod model;
mod profile;

pub use delta::{Baseline, Delta};
pub use profile::{Pprof, PprofFault, SampleType};
