//! One captured request.

use std::sync::Arc;
use std::time::SystemTime;

use crate::{Payload, Reservation};

/// Which ingestion surface a record came in by. The number is given by `pyroscope-wire` and
/// means nothing here; it must stay the same for ever, since it is written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SurfaceId(pub u8);

/// The parts of a request's head that a delivery needs. They are copies: a clone of hyper's
/// `HeaderMap` would pin the read buffer of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How the profile came in.
    pub surface: SurfaceId,
    /// The raw query, without `?`, as the client wrote it.
    pub query: Box<str>,
    /// `Content-Type`, byte for byte (a multipart boundary is in it).
    pub content_type: Option<Box<[u8]>>,
    /// `Content-Encoding`, byte for byte.
    pub content_encoding: Option<Box<[u8]>>,
    /// How many relays the profile has passed before this one.
    pub hops: u8,
    /// When the head arrived; a profile without times of its own belongs to this instant.
    pub received: SystemTime,
}

impl Head {
    /// Bytes that the head's copies take.
    pub fn len(&self) -> usize {
        let bytes = |field: &Option<Box<[u8]>>| field.as_ref().map_or(0, |value| value.len());
        self.query.len() + bytes(&self.content_type) + bytes(&self.content_encoding)
    }

    /// Whether there is nothing to copy.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One captured request: shared by all targets, changed by none. Tags are applied at delivery.
#[derive(Debug)]
pub struct Record {
    head: Head,
    body: Payload,
    /// Held for its drop: the budget gets its bytes back when the last target has settled.
    _reservation: Reservation,
}

impl Record {
    /// Bytes that a record costs beside its head and body, for the budget: the allocations, the
    /// slots in the queues, the request that is built to send it (measured, see ADR 0003).
    pub const OVERHEAD: u64 = 1_300;

    /// A record whose memory `reservation` already covers.
    pub fn new(head: Head, body: Payload, reservation: Reservation) -> Arc<Self> {
        Arc::new(Self {
            head,
            body,
            _reservation: reservation.into_recorded(),
        })
    }

    /// What the client said about the body.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The captured body.
    pub fn body(&self) -> &Payload {
        &self.body
    }

    /// Length of the captured body, in bytes: what the ledger counts.
    pub fn len(&self) -> u64 {
        self.body.len()
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.body.len() == 0
    }
}
