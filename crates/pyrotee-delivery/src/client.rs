//! Uploads records to one target, over connections that its workers keep.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use pyroscope_wire::Tags;
use pyrotee_net::ExchangeError;
use pyrotee_queue::{Reason, Record, WallClock};
use tokio::time::Instant;

use crate::connection::{Connection, Endpoint};
use crate::content::{Content, Prepared};
use crate::metrics::TargetMetrics;
use crate::outcome::Outcome;
use crate::request::{RequestTemplate, RewritePermits};
use crate::response::ResponseReader;
use crate::upload_body::UploadProgress;
use crate::{Settings, SettingsError};

/// Uploads records to one target.
#[derive(Debug)]
pub(crate) struct TargetClient {
    endpoint: Arc<Endpoint>,
    template: RequestTemplate,
    reader: ResponseReader,
    timeout: Duration,
}

impl TargetClient {
    pub(crate) fn new(
        settings: &Settings,
        endpoint: Arc<Endpoint>,
        rewrites: RewritePermits,
        clock: WallClock,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            endpoint,
            template: RequestTemplate::new(settings, rewrites)?,
            reader: ResponseReader::new(settings, clock),
            timeout: settings.timeout,
        })
    }

    /// The server that the uploads go to.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The tags that the target's settings give to every profile that this relay captures.
    pub(crate) fn tags(&self) -> &Arc<Tags> {
        self.template.tags()
    }

    /// Makes the content of an upload of `record` with `tags`; `Err` is the reason to drop the record. Does not count
    /// towards the timeout of the upload.
    pub(crate) async fn prepare(
        &self,
        record: &Arc<Record>,
        tags: &Arc<Tags>,
    ) -> Result<Prepared, Reason> {
        self.template.prepare(record, tags).await
    }

    /// Uploads `record` once, with the `content` that [`TargetClient::prepare`] made with `tags`, over the `kept` connection, which
    /// must lead to [`TargetClient::endpoint`], or over a new one. Leaves the connection in `kept` if it can be used again.
    pub(crate) async fn upload(
        &self,
        record: &Arc<Record>,
        tags: &Arc<Tags>,
        content: Content,
        kept: &mut Option<Box<Connection>>,
        metrics: &TargetMetrics,
    ) -> Outcome {
        let progress = Arc::new(UploadProgress::default());
        let mut exchange = pin!(self.exchange(record, tags, content, kept, &progress, metrics));
        let outcome = match tokio::time::timeout(self.timeout, &mut exchange).await {
            Ok(outcome) => outcome,
            // The head has arrived, and its status decides. The body of the response has its own time limit.
            Err(_elapsed) if progress.has_responded() => exchange.await,
            Err(_elapsed) => self.timed_out(&progress),
        };
        // hyper never polls an empty body: only the response shows that it was sent.
        if progress.has_finished() || outcome.status.is_some() {
            metrics.sent_bytes.increment(record.len());
        }
        outcome
    }

    fn timed_out(&self, progress: &UploadProgress) -> Outcome {
        let connecting = !progress.has_started();
        let doing = if connecting {
            "connecting"
        } else {
            "uploading"
        };
        let text = format!("{doing} took longer than {:?}", self.timeout);
        Outcome::no_response(
            ExchangeError::timeout(text, connecting),
            progress.has_finished(),
        )
    }

    async fn exchange(
        &self,
        record: &Arc<Record>,
        tags: &Arc<Tags>,
        content: Content,
        kept: &mut Option<Box<Connection>>,
        progress: &Arc<UploadProgress>,
        metrics: &TargetMetrics,
    ) -> Outcome {
        // The connection is taken out while it is in use, so that a timeout, which drops this future, closes it.
        let mut old = kept.take();
        let mut content = Ok(content);
        loop {
            // Each attempt sends the whole body.
            progress.restart();
            let request =
                content.and_then(|content| self.template.request(record, content, progress));
            let request = match request {
                Ok(request) => request,
                Err(reason) => {
                    *kept = old;
                    return Outcome::unsendable(reason);
                }
            };
            let started = Instant::now();
            let (was_kept, mut connection) = match old.take() {
                Some(connection) => (true, connection),
                None => match Connection::open(&self.endpoint).await {
                    Ok(connection) => (false, connection),
                    Err(error) => return Outcome::no_response(error, false),
                },
            };
            let read = async |response: Response<Incoming>| {
                progress.set_responded();
                metrics.response_head(response.status(), started.elapsed());
                self.reader.read(response, record.head().surface).await
            };
            match connection.exchange(request, progress, read).await {
                Ok(outcome) => {
                    *kept = Some(connection).filter(|connection| connection.is_reusable());
                    return outcome;
                }
                // A stale connection: the target closed it while it was idle, and did not receive the whole
                // request. A new connection cannot be stale.
                Err(error) if was_kept && error.is_stale() => {
                    metrics.stale_retries.increment(1);
                    // The caller still holds the rewritten body, so `prepare` does not make it again.
                    content = self
                        .prepare(record, tags)
                        .await
                        .map(|(content, _use)| content);
                }
                Err(error) => {
                    let written = error.is_written();
                    return Outcome::no_response(error, written);
                }
            }
        }
    }
}
