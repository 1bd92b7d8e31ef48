//! What recovery makes of the files, before queues and ledgers know of it.

use pyrotee_queue::Tally;

use crate::counters::Counters;
use crate::format::Names;
use crate::spooled_record::RecordClaim;
use crate::tracker::TrackerState;

/// What the files of earlier processes come to.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// The number of the next record.
    pub(crate) next: u64,
    /// The names for new segments.
    pub(crate) names: Names,
    /// Cursors, removed targets and segments.
    pub(crate) state: TrackerState,
    /// One per configured target, in their order.
    pub(crate) backlogs: Vec<Backlog>,
    /// What is to be added to the counters of the spool.
    pub(crate) counters: Counters,
}

/// What earlier processes left for one configured target.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Pending records, by their numbers.
    pub(crate) claims: Vec<(u64, RecordClaim)>,
    /// Records that are damaged or missing.
    pub(crate) lost: Tally,
}
