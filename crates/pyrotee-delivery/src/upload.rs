//! The body of an upload: the record's own bytes, shared with every other target.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pyrotee_queue::Record;

/// How far an upload came, for whoever has to say why it failed.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    started: AtomicBool,
    finished: AtomicBool,
}

impl Progress {
    /// The connection stood: the body was asked for.
    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Relaxed)
    }

    /// The whole body went out.
    pub(crate) fn has_finished(&self) -> bool {
        self.finished.load(Relaxed)
    }
}

/// A record's body on its way to a target.
#[derive(Debug)]
pub(crate) struct UploadBody {
    record: Arc<Record>,
    sent: usize,
    progress: Arc<Progress>,
}

impl UploadBody {
    pub(crate) fn new(record: Arc<Record>, progress: Arc<Progress>) -> Self {
        Self {
            record,
            sent: 0,
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
        let frame = self.record.body().frames().get(self.sent).cloned();
        self.sent += usize::from(frame.is_some());
        if self.is_end_stream() {
            self.progress.finished.store(true, Relaxed);
        }
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent >= self.record.body().frames().len()
    }

    fn size_hint(&self) -> SizeHint {
        let frames = self.record.body().frames().iter();
        SizeHint::with_exact(frames.skip(self.sent).map(|frame| frame.len() as u64).sum())
    }
}
