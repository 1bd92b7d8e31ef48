//! What a backend must know of a target to share the target's backlog with other relays.

use std::sync::Arc;
use std::time::Duration;

/// How the backlog of one target is shared with other relays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// The tags that this relay sends with the target's profiles, as a text that the delivery path reads. The backend
    /// stores it with each record, so that another relay sends the record with the tags of this one.
    pub tags: Arc<str>,
    /// Digest of the target's address and tenant. Relays only deliver records of the same digest.
    pub whose: [u8; 16],
    /// Age at which the target's records expire; `None`: never.
    pub max_age: Option<Duration>,
    /// Longest time of one upload to the target.
    pub timeout: Duration,
    /// Most bytes of the target's shared backlog.
    pub max_bytes: u64,
}
