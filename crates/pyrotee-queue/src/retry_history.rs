//! The results of a record's earlier deliveries, which a queue keeps between two leases.

/// The results of earlier deliveries of a record to one target. Kept in memory only: after a restart every
/// record starts with an empty history, apart from `ended_processes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryHistory {
    /// Deliveries that failed.
    pub failures: u32,
    /// Failures with a response that pyrotee cannot interpret.
    pub unknown_failures: u32,
    /// Failures after which the target may have the record: each further delivery may store it twice.
    pub ambiguous_failures: u32,
    /// Deliveries that panicked.
    pub panics: u32,
    /// Processes that ended while this record alone was in flight.
    pub ended_processes: u32,
    /// Failures while the target accepted other records: evidence that this record is poison. The first failure counts
    /// in any case.
    pub failures_while_healthy: u32,
    /// How many records of its surface the target had acknowledged when this record last failed.
    pub acked_at_last_failure: u64,
    /// Status of the response to the last failed delivery. `None`: there is no failed delivery, or it had no response.
    pub last_status: Option<u16>,
}
