//! Uploads records to one target, over connections that its workers keep.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http::{Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pyroscope_wire::gzip;
use pyroscope_wire::refusal::{self, Rules};
use pyrotee_net::{Connector, ExchangeError};
use pyrotee_queue::Record;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::metrics::TargetMetrics;
use crate::outcome::Outcome;
use crate::redact::Redactor;
use crate::request::RequestTemplate;
use crate::upload_body::UploadProgress;
use crate::{Settings, SettingsError, WallClock};

/// Bytes at the start of a response body that decide what the response means.
const CLASSIFIED_BYTES: usize = 4 * 1024;

/// Most bytes of a response body that logs, status page and dead letters show.
const SHOWN_BYTES: usize = 2 * 1024;

/// Most bytes of a response body that are read so that the connection can be used again. A longer body ends the
/// connection.
const DRAINED_BYTES: usize = 64 * 1024;

/// Uploads records to one target.
#[derive(Debug)]
pub(crate) struct TargetClient {
    connector: Connector,
    origin: Uri,
    template: RequestTemplate,
    reader: ResponseReader,
    timeout: Duration,
}

impl TargetClient {
    pub(crate) fn new(
        settings: &Settings,
        connector: Connector,
        clock: WallClock,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            connector,
            origin: settings.address.origin(),
            template: RequestTemplate::new(settings)?,
            reader: ResponseReader {
                rules: settings.rules.clone(),
                redactor: Redactor::new(settings),
                clock,
            },
            timeout: settings.timeout,
        })
    }

    /// Uploads `record` once, over the `kept` connection or over a new one, and keeps the connection if it can be
    /// used again.
    pub(crate) async fn upload(
        &self,
        record: &Arc<Record>,
        kept: &mut Option<Box<Connection>>,
        metrics: &TargetMetrics,
    ) -> Outcome {
        let progress = Arc::new(UploadProgress::default());
        let exchange = self.exchange(record, kept, &progress, metrics);
        let outcome = tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| {
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
            });
        if progress.has_finished() {
            metrics.sent_bytes.increment(record.len());
        }
        outcome
    }

    async fn exchange(
        &self,
        record: &Arc<Record>,
        kept: &mut Option<Box<Connection>>,
        progress: &Arc<UploadProgress>,
        metrics: &TargetMetrics,
    ) -> Outcome {
        // Taken out while it is in use: a timeout drops this future, and the connection with it.
        let mut old = kept.take();
        loop {
            // Each attempt sends the whole body.
            progress.restart();
            let request = match self.template.request(record, progress).await {
                Ok(request) => request,
                Err(reason) => {
                    *kept = old;
                    return Outcome::unsendable(reason);
                }
            };
            let started = Instant::now();
            let (was_kept, mut connection) = match old.take() {
                Some(connection) => (true, connection),
                None => match Connection::open(&self.connector, self.origin.clone()).await {
                    Ok(connection) => (false, connection),
                    Err(error) => return Outcome::no_response(error, false),
                },
            };
            let read = async |response: Response<Incoming>| {
                metrics.response_head(response.status(), started.elapsed());
                self.reader.read(response).await
            };
            match connection.exchange(request, progress, read).await {
                Ok(outcome) => {
                    *kept = Some(connection).filter(|connection| connection.is_reusable());
                    return outcome;
                }
                // The target closed the idle connection and did not receive the whole of this request. A new
                // connection cannot be stale.
                Err(error) if was_kept && error.is_stale() => metrics.stale_retries.increment(1),
                Err(error) => {
                    let written = error.is_written();
                    return Outcome::no_response(error, written);
                }
            }
        }
    }
}

/// Reads responses, and decides what they mean.
#[derive(Debug)]
struct ResponseReader {
    rules: Rules,
    redactor: Redactor,
    clock: WallClock,
}

impl ResponseReader {
    async fn read(&self, response: Response<Incoming>) -> Outcome {
        let (head, mut body) = response.into_parts();
        let mut kept = Vec::new();
        let mut read = 0;
        // An error is ignored: the status has arrived, and a body that breaks off after it changes nothing.
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let room = CLASSIFIED_BYTES.saturating_sub(kept.len());
            kept.extend(data.iter().take(room));
            read += data.len();
            if read > DRAINED_BYTES {
                break;
            }
        }
        if head.status.is_success() {
            return Outcome::acked(head.status);
        }
        let mut cut = read > kept.len();
        // The request does not accept gzip, but some gateways compress anyhow.
        if head.headers.contains_key(CONTENT_ENCODING) {
            kept = gzip::start(&[kept.into()], CLASSIFIED_BYTES);
            cut |= kept.len() == CLASSIFIED_BYTES;
        }
        let text = String::from_utf8_lossy(&kept);
        let meaning = self.rules.judge(head.status.as_u16(), &text);
        let retry_after = head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| refusal::retry_after(value.as_bytes(), self.clock.now()));
        let shown = one_line(&self.redactor.redact(&text, cut));
        Outcome::response(head.status, meaning, shown, retry_after)
    }
}

/// `text` as one line of at most [`SHOWN_BYTES`], without a character that was cut in two at its end.
fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut ends = (0..=SHOWN_BYTES.min(line.len())).rev();
    let end = ends.find(|end| line.is_char_boundary(*end));
    line.truncate(end.unwrap_or(0));
    line.truncate(line.trim_end_matches('\u{fffd}').len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line_without_half_a_character() {
        assert_eq!(one_line(" {\"code\":\n\t\"x\"}\n"), "{\"code\": \"x\"}");
        assert_eq!(one_line("gr\u{fffd}"), "gr");
        assert_eq!(one_line(&"ü".repeat(2_000)).len(), SHOWN_BYTES);
    }
}
