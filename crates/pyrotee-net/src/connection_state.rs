//! The state of a connection: after a failed exchange, it tells whether the request may be sent again at once, and
//! whether TLS is the cause.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use pyrotee_tls::TlsWords;

/// Whether one connection has gone stale, or was refused by TLS. The connection updates this state, and the code that
/// handles a failed exchange reads it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ConnectionState {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The peer has sent at least one byte: an earlier exchange on this connection got a response.
    answered: AtomicBool,
    /// An [`End`] as a number.
    end: AtomicU8,
    /// The first failure of TLS, before the peer's first byte. hyper often reports another error than the one that it
    /// read, or none of its causes.
    tls_failure: OnceLock<TlsWords>,
}

/// When the connection was seen to end, if not one byte of a response to the last request has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection is open, or it ended after the first byte of a response.
    None,
    /// Before or while hyper's buffer was written.
    BeforeWritten,
    /// After hyper's buffer was written, by a reset that followed a FIN, or by a reset of a connection that had
    /// been idle for long before the request: the peer had closed the connection before the request arrived.
    Refused,
    /// After hyper's buffer was written.
    AfterWritten,
}

impl ConnectionState {
    /// Whether the failed exchange used a stale connection: the peer responded to an earlier request on the
    /// connection, and cannot have received the whole of this request. `body_taken`: hyper has taken the whole
    /// body, so that a request which hyper has written is complete.
    pub(crate) fn is_stale(&self, body_taken: bool) -> bool {
        self.has_answered()
            && match self.end() {
                End::None => false,
                End::BeforeWritten | End::Refused => true,
                End::AfterWritten => !body_taken,
            }
    }

    /// Whether the failed exchange ended without one byte of a response, on a connection on which the peer had
    /// responded to an earlier request.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.has_answered() && self.end() != End::None
    }

    /// Whether the whole request may have been written.
    pub(crate) fn is_written(&self, body_taken: bool) -> bool {
        body_taken && self.end() != End::BeforeWritten
    }

    /// Whether the peer has sent at least one byte.
    pub(crate) fn has_answered(&self) -> bool {
        self.shared.answered.load(Relaxed)
    }

    /// Why TLS refused the connection: the peer has not processed a request on it. `None` if TLS is not the cause.
    pub(crate) fn tls_failure(&self) -> Option<&TlsWords> {
        self.shared.tls_failure.get()
    }

    /// Notes a failure of TLS. The first one counts, and none after the peer's first byte: what fails then may have
    /// reached the peer.
    pub(crate) fn note_tls_failure(&self, words: impl FnOnce() -> Option<TlsWords>) {
        if !self.has_answered()
            && self.tls_failure().is_none()
            && let Some(words) = words()
        {
            // Another task does not write: the connection alone notes failures.
            drop(self.shared.tls_failure.set(words));
        }
    }

    pub(crate) fn end(&self) -> End {
        const BEFORE_WRITTEN: u8 = End::BeforeWritten as u8;
        const REFUSED: u8 = End::Refused as u8;
        const AFTER_WRITTEN: u8 = End::AfterWritten as u8;
        match self.shared.end.load(Relaxed) {
            BEFORE_WRITTEN => End::BeforeWritten,
            REFUSED => End::Refused,
            AFTER_WRITTEN => End::AfterWritten,
            _ => End::None,
        }
    }

    /// Notes that a byte of a response has arrived.
    pub(crate) fn note_answer(&self) {
        self.shared.answered.store(true, Relaxed);
        self.shared.end.store(End::None as u8, Relaxed);
    }

    /// Notes that the connection was seen to end. The first end counts.
    pub(crate) fn note_end(&self, end: End) {
        if self.end() == End::None {
            self.shared.end.store(end as u8, Relaxed);
        }
    }
}
