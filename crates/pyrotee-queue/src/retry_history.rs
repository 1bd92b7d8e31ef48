//! What a queue remembers of a record between two leases.

/// What earlier deliveries of a record to one target taught. Kept in memory only: after a restart every
/// record starts with an empty history, apart from `ended_processes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryHistory {
    /// Deliveries that failed.
    pub failures: u32,
    /// Failures with a response that pyrotee cannot interpret.
    pub unknown_failures: u32,
    /// Failures after which the target may have the record: each further delivery may double it.
    pub ambiguous_failures: u32,
    /// Deliveries that panicked.
    pub panics: u32,
    /// Processes that ended while this record alone was in flight.
    pub ended_processes: u32,
    /// Failures while the target accepted other records: evidence that this record is poison.
    pub failures_while_healthy: u32,
    /// How many records of its surface the target had acknowledged when this record last failed.
    pub acked_at_last_failure: u64,
    /// Status of the last response; `None` if no delivery has failed or none was answered.
    pub last_status: Option<u16>,
}
