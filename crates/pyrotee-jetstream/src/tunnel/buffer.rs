//! The content of a message that is being published.

use std::sync::Arc;

use bytes::Bytes;
use pyrotee_queue::{Budget, Reservation};

/// Owns the bytes of a message and what they cost, so that the budget is charged as long as the client of NATS holds the
/// message, which may be long after its publisher has given up.
struct Charged {
    content: Vec<u8>,
    _charged: Reservation,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// The content that `encode` makes, of at most `len` bytes. `None`: the budget has no room, and nothing was made.
pub(super) fn charged(
    budget: &Arc<Budget>,
    len: u64,
    encode: impl FnOnce() -> Vec<u8>,
) -> Option<Bytes> {
    let charged = budget.reserve(len)?;
    let content = encode();
    Some(Bytes::from_owner(Charged {
        content,
        _charged: charged,
    }))
}
