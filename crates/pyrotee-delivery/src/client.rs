//! Uploads to one target, over connections that its workers keep.

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
use crate::request::Template;
use crate::upload::Progress;
use crate::{Clock, Settings, SettingsError};

/// Bytes of an answer that are looked at.
const KEPT_ANSWER: usize = 4 * 1024;

/// Most bytes of an answer that are told.
const TOLD_ANSWER: usize = 2 * 1024;

/// Bytes of an answer that are read so that its connection can be used again.
const READ_ANSWER: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct TargetClient {
    connector: Connector,
    origin: Uri,
    template: Template,
    reader: Reader,
    timeout: Duration,
}

impl TargetClient {
    pub(crate) fn new(
        settings: &Settings,
        connector: Connector,
        clock: Clock,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            connector,
            origin: settings.address.origin(),
            template: Template::new(settings)?,
            reader: Reader {
                rules: settings.rules.clone(),
                redactor: Redactor::new(settings),
                clock,
            },
            timeout: settings.timeout,
        })
    }

    /// One try to upload `record`, over the connection that is `kept`, or over a new one. What can be used
    /// again is kept.
    pub(crate) async fn upload(
        &self,
        record: &Arc<Record>,
        kept: &mut Option<Box<Connection>>,
        metrics: &TargetMetrics,
    ) -> Outcome {
        let progress = Arc::new(Progress::default());
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
        // An empty body is never asked for: an answer is all there is to see of it.
        if progress.has_finished() || outcome.status.is_some() {
            metrics.sent_bytes.increment(record.len());
        }
        outcome
    }

    async fn exchange(
        &self,
        record: &Arc<Record>,
        kept: &mut Option<Box<Connection>>,
        progress: &Arc<Progress>,
        metrics: &TargetMetrics,
    ) -> Outcome {
        // Not in its place while it is in use: who gives up waiting gives the connection up as well.
        let mut old = kept.take();
        loop {
            // Each try begins with the whole body: half of one is no profile.
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
                metrics.answered(response.status(), started.elapsed());
                self.reader.read(response).await
            };
            match connection.exchange(request, read).await {
                Ok(outcome) => {
                    *kept = Some(connection).filter(|connection| connection.is_reusable());
                    return outcome;
                }
                // The target had given it up, and has not seen a byte. What is new cannot be stale.
                Err(error) if was_kept && error.is_stale() => metrics.stale_retries.increment(1),
                Err(error) => return Outcome::no_response(error, progress.has_finished()),
            }
        }
    }
}

/// Reads answers.
#[derive(Debug)]
struct Reader {
    rules: Rules,
    redactor: Redactor,
    clock: Clock,
}

impl Reader {
    async fn read(&self, response: Response<Incoming>) -> Outcome {
        let (head, mut body) = response.into_parts();
        let mut kept = Vec::new();
        let mut read = 0;
        // The status has been said: an answer that breaks off after it changes nothing.
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let room = KEPT_ANSWER.saturating_sub(kept.len());
            kept.extend(data.iter().take(room));
            read += data.len();
            if read > READ_ANSWER {
                break;
            }
        }
        if head.status.is_success() {
            return Outcome::acked(head.status);
        }
        let mut cut = read > kept.len();
        // Nobody asked for it, but gateways pack what they like.
        if head.headers.contains_key(CONTENT_ENCODING) {
            kept = gzip::start(&[kept.into()], KEPT_ANSWER);
            cut |= kept.len() == KEPT_ANSWER;
        }
        let answer = String::from_utf8_lossy(&kept);
        let meaning = self.rules.judge(head.status.as_u16(), &answer);
        let asked = head.headers.get(RETRY_AFTER);
        let asked =
            asked.and_then(|value| refusal::retry_after(value.as_bytes(), self.clock.now()));
        let told = one_line(&self.redactor.redact(&answer, cut));
        Outcome::response(head.status, meaning, told, asked)
    }
}

/// What an answer says, in one line of bounded length; a character that was cut in two is left out.
fn one_line(answer: &str) -> String {
    let mut line = answer.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut ends = (0..=TOLD_ANSWER.min(line.len())).rev();
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
        assert_eq!(one_line(&"ü".repeat(2_000)).len(), TOLD_ANSWER);
    }
}
