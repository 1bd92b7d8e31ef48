//! The limits of one target's queue.

/// What a full queue drops, as [`Reason::QueueFull`](crate::Reason::QueueFull).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The new record.
    DropNewest,
    /// The oldest records that are not in flight, if dropping them makes enough room; else the new record.
    DropOldest,
}

/// The limits of one target's queue. Records in flight count; records that a backend keeps on disk do not.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most records at a time.
    pub records: usize,
    /// Most bytes of captured bodies at a time.
    pub bytes: u64,
    /// What is dropped when a new record would exceed `records` or `bytes`.
    pub when_full: WhenFull,
}
