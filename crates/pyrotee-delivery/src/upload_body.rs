//! The body of an upload, and how much of the body was sent. All targets share the bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::vec::IntoIter;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The progress of an upload, which decides whether a failure is ambiguous.
#[derive(Debug, Default)]
pub(crate) struct UploadProgress {
    started: AtomicBool,
    finished: AtomicBool,
    responded: AtomicBool,
}

impl UploadProgress {
    /// Starts another attempt.
    pub(crate) fn restart(&self) {
        self.started.store(false, Relaxed);
        self.finished.store(false, Relaxed);
    }

    /// Whether hyper has asked for the body: the connection is open.
    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Relaxed)
    }

    /// Whether hyper has taken the whole body.
    pub(crate) fn has_finished(&self) -> bool {
        self.finished.load(Relaxed)
    }

    /// Notes that the head of the response has arrived.
    pub(crate) fn set_responded(&self) {
        self.responded.store(true, Relaxed);
    }

    /// Whether the head of the response has arrived, so that the status has decided.
    pub(crate) fn has_responded(&self) -> bool {
        self.responded.load(Relaxed)
    }
}

/// The body of an upload in pieces, which reports its progress.
#[derive(Debug)]
pub(crate) struct UploadBody {
    pieces: IntoIter<Bytes>,
    progress: Arc<UploadProgress>,
}

impl UploadBody {
    pub(crate) fn new(pieces: Vec<Bytes>, progress: Arc<UploadProgress>) -> Self {
        Self {
            pieces: pieces.into_iter(),
            progress,
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.started.store(true, Relaxed);
        let piece = self.pieces.next();
        self.is_end_stream();
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    /// hyper calls this before it polls, and never polls an empty body.
    fn is_end_stream(&self) -> bool {
        let ended = self.pieces.as_slice().is_empty();
        if ended {
            self.progress.started.store(true, Relaxed);
            self.progress.finished.store(true, Relaxed);
        }
        ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(
            self.pieces
                .as_slice()
                .iter()
                .map(|piece| piece.len() as u64)
                .sum(),
        )
    }
}
