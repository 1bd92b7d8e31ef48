//! Functions for the tests of `pyrotee-spool`. Nothing else uses this module.

use crate::format::segment_of;

/// Whether a segment that is not in quarantine may have this file name.
pub fn is_segment(name: &str) -> bool {
    segment_of(name).is_some()
}

/// Replaces the version of an envelope, and the checksum of the version. The content does not change.
///
/// # Panics
/// `sealed` is shorter than an envelope.
pub fn of_version(mut sealed: Vec<u8>, version: u32) -> Vec<u8> {
    drop(sealed.splice(8..12, version.to_le_bytes()));
    let crc = crc32fast::hash(sealed.get(..12).unwrap_or_default());
    drop(sealed.splice(12..16, crc.to_le_bytes()));
    sealed
}
