//! Uploads to one target over connections of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pyroscope_wire::gzip;
use pyroscope_wire::refusal::{self, Rules};
use pyrotee_net::{Connector, Dialer, Fault};
use pyrotee_queue::Record;
use tokio::time::Instant;

use crate::metrics::TargetMetrics;
use crate::outcome::Outcome;
use crate::redact::Redactor;
use crate::request::Template;
use crate::upload::{Progress, UploadBody};
use crate::{Clock, Settings, SettingsError};

/// Idle connections are given up before the target does: old Pyroscopes close at 30 s.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// How often one upload may meet a stale connection: after a restart of the target there can be
/// several of them, and none has seen a byte of it.
const STALE_RETRIES: u32 = 3;

/// Bytes of an answer that are looked at.
const KEPT_ANSWER: usize = 4 * 1024;

/// Most bytes of an answer that are told.
const TOLD_ANSWER: usize = 2 * 1024;

/// Bytes of an answer that are read so that its connection can be used again.
const READ_ANSWER: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct TargetClient<D = Dialer> {
    http: Client<Connector<D>, UploadBody>,
    template: Template,
    reader: Reader,
    timeout: Duration,
}

impl<D> TargetClient<D>
where
    Connector<D>: Connect + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(
        settings: &Settings,
        connector: Connector<D>,
        clock: Clock,
    ) -> Result<Self, SettingsError> {
        let http = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(settings.workers)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(connector);
        let template = Template::new(settings)?;
        Ok(Self {
            http,
            template,
            reader: Reader {
                rules: settings.rules.clone(),
                redactor: Redactor::new(settings),
                clock,
            },
            timeout: settings.timeout,
        })
    }

    /// One try to upload `record`.
    pub(crate) async fn upload(&self, record: &Arc<Record>, metrics: &TargetMetrics) -> Outcome {
        let progress = Arc::new(Progress::default());
        let exchange = self.exchange(record, &progress, metrics);
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
                Outcome::failed(Fault::timeout(text, connecting), progress.has_finished())
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
        progress: &Arc<Progress>,
        metrics: &TargetMetrics,
    ) -> Outcome {
        let mut stale = 0;
        loop {
            // Each try begins with the whole body: half of one is no profile.
            progress.restart();
            let request = match self.template.request(record, progress).await {
                Ok(request) => request,
                Err(reason) => return Outcome::unsendable(reason),
            };
            let started = Instant::now();
            match self.http.request(request).await {
                Ok(response) => {
                    metrics.answered(response.status(), started.elapsed());
                    return self.reader.read(response).await;
                }
                Err(error) => {
                    let fault = Fault::from(&error);
                    if !fault.is_stale() || stale == STALE_RETRIES {
                        return Outcome::failed(fault, progress.has_finished());
                    }
                    stale += 1;
                    metrics.stale_retries.increment(1);
                }
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
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
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
            return Outcome::taken(head.status);
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
        Outcome::answered(head.status, meaning, told, asked)
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
