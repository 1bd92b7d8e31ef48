//! One stream of an HTTP/2 connection, and the progress of writing its response.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use bytes::{Buf, Bytes};
use pyrotee_queue::lock;
use tokio::time::Instant;

use super::Http2Streams;
use crate::client::STALL_TIMEOUT;

/// A stream that is served. Until its whole response is written, its head is charged to its connection, and the
/// connection does not count as idle.
#[derive(Debug)]
pub(crate) struct Http2Stream {
    streams: Arc<Http2Streams>,
    head_cost: u64,
    progress: Arc<Progress>,
}

impl Http2Stream {
    pub(super) fn new(streams: Arc<Http2Streams>, head_cost: u64) -> Self {
        Self {
            streams,
            head_cost,
            progress: Arc::default(),
        }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        self.streams.ended(self.head_cost);
    }
}

/// Progress of writing the response of a stream. The stream's task and the connection's task share it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the client last took bytes of the piece, or when the piece was made; `None` if there is no piece.
    blocked_since: Option<Instant>,
    /// Wakes the stream's task once the piece is written.
    task: Option<Waker>,
}

impl Progress {
    /// Time at which the stream has been blocked for [`STALL_TIMEOUT`]; `None` while no piece waits for the client.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let blocked_since = lock(&self.state).blocked_since?;
        Some(blocked_since + STALL_TIMEOUT)
    }

    /// Whether a piece waits for the client to take it.
    pub(super) fn is_blocked(&self) -> bool {
        lock(&self.state).blocked_since.is_some()
    }

    /// Whether a piece waits for the client to take it. If so, the task of `cx` is woken once the piece is written.
    pub(super) fn is_blocked_for(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        let is_blocked = state.blocked_since.is_some();
        if is_blocked {
            state.task = Some(cx.waker().clone());
        }
        is_blocked
    }

    fn moved(&self) {
        lock(&self.state).blocked_since = Some(Instant::now());
    }

    fn written(&self) {
        let mut state = lock(&self.state);
        state.blocked_since = None;
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// A piece of a response. Over HTTP/2 it reports the progress of writing it. hyper drops a piece when it is written, or
/// when the stream is reset.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    progress: Option<Arc<Progress>>,
}

impl Piece {
    /// A piece of a response over HTTP/1.1, which the connection's timeouts watch.
    pub(super) fn unwatched(bytes: Bytes) -> Self {
        Self {
            bytes,
            progress: None,
        }
    }

    /// A piece of a stream's response. A stream has at most one piece at a time.
    pub(super) fn of(stream: &Http2Stream, bytes: Bytes) -> Self {
        stream.progress.moved();
        Self {
            bytes,
            progress: Some(stream.progress()),
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = &self.progress {
            progress.moved();
        }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.bytes.copy_to_bytes(len)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.written();
        }
    }
}
