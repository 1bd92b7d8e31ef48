//! The body of an upload: bytes that are shared with every other target.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::vec::IntoIter;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How far an upload came, for whoever has to say why it failed.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    started: AtomicBool,
    finished: AtomicBool,
}

impl Progress {
    /// Another try begins.
    pub(crate) fn restart(&self) {
        self.started.store(false, Relaxed);
        self.finished.store(false, Relaxed);
    }

    /// The connection stood: the body was asked for.
    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Relaxed)
    }

    /// The whole body went out.
    pub(crate) fn has_finished(&self) -> bool {
        self.finished.load(Relaxed)
    }
}

/// A body on its way to a target.
#[derive(Debug)]
pub(crate) struct UploadBody {
    pieces: IntoIter<Bytes>,
    progress: Arc<Progress>,
}

impl UploadBody {
    pub(crate) fn new(pieces: Vec<Bytes>, progress: Arc<Progress>) -> Self {
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
        if self.is_end_stream() {
            self.progress.finished.store(true, Relaxed);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.as_slice().is_empty()
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
