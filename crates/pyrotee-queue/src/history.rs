//! What is remembered of a record between two leases.

/// What a deliverer knows of a record's earlier tries. It lives in memory and ends with the process:
/// after a restart every record starts anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Tries that failed.
    pub failures: u32,
    /// Tries that were refused in words that nobody knows.
    pub unexplained: u32,
    /// Tries after which the target may have had the record: each further one may double it.
    pub ambiguous: u32,
    /// Failures since whose predecessor the target took other records.
    pub alone: u32,
    /// Records that the target had taken when this one last failed.
    pub taken: u64,
}
