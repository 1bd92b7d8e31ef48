//! Sizes in bytes.

pub(crate) const KB: usize = 1_000;
pub(crate) const MB: usize = 1_000_000;
pub(crate) const MIB: u64 = 1024 * 1024;
