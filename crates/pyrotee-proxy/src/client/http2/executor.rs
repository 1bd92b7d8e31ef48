//! Runs the tasks of an HTTP/2 connection's streams, and ends the streams whose client does not read the response.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use pin_project_lite::pin_project;
use pyrotee_net::server::poll_deadline;
use tokio::time::{Sleep, sleep_until};

use super::Http2Streams;
use super::stream::Progress;
use crate::metrics::{ProxyMetrics, TimeoutPhase};

/// Runs the tasks of one connection. hyper calls the service for a stream and starts the stream's task right
/// afterwards, so a task belongs to the stream that was admitted last.
#[derive(Debug, Clone)]
pub(crate) struct StreamExecutor {
    streams: Arc<Http2Streams>,
    metrics: Arc<ProxyMetrics>,
}

impl StreamExecutor {
    pub(crate) fn new(streams: Arc<Http2Streams>, metrics: Arc<ProxyMetrics>) -> Self {
        Self { streams, metrics }
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        match self.streams.take_admitted() {
            Some(progress) => TokioExecutor::new().execute(StreamTask {
                task,
                progress,
                metrics: Arc::clone(&self.metrics),
                timer: None,
            }),
            None => TokioExecutor::new().execute(task),
        }
    }
}

pin_project! {
    /// Runs `task` to its end. If the client reads nothing of the response for too long, `task` is dropped, which
    /// resets the stream.
    struct StreamTask<F> {
        #[pin]
        task: F,
        progress: Arc<Progress>,
        metrics: Arc<ProxyMetrics>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.task.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(deadline) = this.progress.deadline() else {
            return Poll::Pending;
        };
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let blocked = poll_deadline(timer.as_mut(), || Some((this.progress.deadline()?, ())), cx);
        blocked.map(|()| this.metrics.client_timeout(TimeoutPhase::Response))
    }
}
