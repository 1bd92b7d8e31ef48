//! What commands ask of a running relay, beside its status: one type for the relay that answers and the
//! command that asks. A reader must take fields that it does not know.

use pyrotee_queue::Tally;
use serde::{Deserialize, Serialize};

/// `POST`, with `?target=NAME`: what waits for the target is lost, counted as `admin`. What is being
/// uploaded is not, and the target goes on. Answered with an [`Amount`].
pub(crate) const PURGE: &str = "/api/v1/purge";

/// So many profiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amount {
    pub(crate) profiles: u64,
    /// Of their bodies.
    pub(crate) bytes: u64,
}

impl From<Tally> for Amount {
    fn from(Tally { profiles, bytes }: Tally) -> Self {
        Self { profiles, bytes }
    }
}
