//! What the tasks of a target count.

/// Counters of one target since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that were handed over from memory.
    pub published: u64,
    /// Bytes of the bodies of these records.
    pub published_bytes: u64,
    /// Publishes that failed.
    pub publish_failures: u64,
    /// Publishes that found the stream full.
    pub full: u64,
    /// Records that are too long for the broker, and stay in memory.
    pub oversized: u64,
    /// Records that went back to memory though the stream may have them.
    pub possibly_doubled: u64,
    /// Records received that had been delivered to a relay before.
    pub redelivered: u64,
    /// Records received that another relay handed over for another address or tenant, and that were given back.
    pub mismatched: u64,
    /// Records received that were damaged, and dropped.
    pub corrupt: u64,
    /// Records received that a newer pyrotee wrote, and that were given back.
    pub unknown_version: u64,
    /// Delivered records that the broker had kept, and that were removed.
    pub orphans: u64,
    /// Expired records that were removed from the stream.
    pub expired: u64,
    /// Records that an operator's command removed from the stream.
    pub purged: u64,
}
