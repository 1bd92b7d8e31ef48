//! Reads the responses to uploads, and decides what they mean.
//!
//! The status decides as soon as the head has arrived. The body only refines the meaning, and has its own limits of
//! time and length: a body that stalls, breaks off or never ends only prevents the reuse of the connection.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pyroscope_wire::refusal::{self, Meaning, PartialSuccess, Rules};
use pyroscope_wire::{Surface, gzip};
use pyrotee_queue::{SurfaceId, WallClock};
use tokio::time::timeout;

use crate::Settings;
use crate::outcome::Outcome;
use crate::redact::Redactor;

/// Bytes at the start of a response body that decide what the response means.
const CLASSIFIED_BYTES: usize = 4 * 1024;

/// Most bytes of a response body that logs, status page and dead letters show.
const SHOWN_BYTES: usize = 2 * 1024;

/// Most bytes of a response body that are read so that the connection can be used again. A longer body ends the
/// connection.
const DRAINED_BYTES: usize = 64 * 1024;

/// How long the body of a response may take after its head. Pyroscope sends both at once; a longer body ends the
/// connection.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// The text for an HTML page with a success status.
const LOGIN_PAGE: &str = "the response is an HTML page, such as a login page, and no acknowledgement; check the \
                          target's address and credentials";

/// Reads the responses of one target, and decides what they mean.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    rules: Rules,
    redactor: Redactor,
    clock: WallClock,
}

impl ResponseReader {
    pub(crate) fn new(settings: &Settings, clock: WallClock) -> Self {
        Self {
            rules: settings.rules.clone(),
            redactor: Redactor::new(settings),
            clock,
        }
    }

    /// The outcome of an upload to `surface`.
    pub(crate) async fn read(&self, response: Response<Incoming>, surface: SurfaceId) -> Outcome {
        let (head, mut body) = response.into_parts();
        let mut start = BodyStart::default();
        // The status has arrived: a body that takes longer changes nothing.
        drop(timeout(BODY_TIMEOUT, start.fill(&mut body)).await);
        if head.status.is_success() {
            self.success(&head, start, surface)
        } else {
            self.failure(&head, start)
        }
    }

    fn success(&self, head: &Parts, body: BodyStart, surface: SurfaceId) -> Outcome {
        if body.bytes.is_empty() {
            return Outcome::acked(head.status);
        }
        let content_type = value(&head.headers, CONTENT_TYPE);
        let surface = Surface::from_id(surface.0);
        let is_otlp = matches!(surface, Some(Surface::Otlp | Surface::OtlpV1));
        let (bytes, cut) = body.decompressed(&head.headers);
        if refusal::is_html_page(content_type, &bytes) {
            let text = String::from_utf8_lossy(&bytes);
            if !self.rules.acknowledges(head.status.as_u16(), &text) {
                let text = LOGIN_PAGE.to_owned();
                return Outcome::response(head.status, Meaning::Broken, text, None);
            }
        } else if is_otlp && let Some(partial) = PartialSuccess::read(content_type, &bytes) {
            let text = match partial.rejected_profiles {
                0 => partial.message,
                rejected => format!("partial success, {rejected} rejected: {}", partial.message),
            };
            let shown = one_line(&self.redactor.redact(&text, cut));
            return Outcome::acked(head.status)
                .with_partial_success(partial.rejected_profiles, shown);
        }
        Outcome::acked(head.status)
    }

    fn failure(&self, head: &Parts, body: BodyStart) -> Outcome {
        let (bytes, cut) = body.decompressed(&head.headers);
        let text = String::from_utf8_lossy(&bytes);
        let (status, now) = (head.status.as_u16(), self.clock.now());
        let meaning = self.rules.judge(status, &text);
        let retry_after = head.headers.get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| refusal::retry_after(value.as_bytes(), now));
        let quota_reset = (meaning == Meaning::Throttled)
            .then(|| refusal::quota_reset(status, &text, now))
            .flatten();
        let shown = one_line(&self.redactor.redact(&text, cut));
        Outcome::response(head.status, meaning, shown, retry_after).with_quota_reset(quota_reset)
    }
}

fn value(headers: &HeaderMap, name: HeaderName) -> &[u8] {
    headers.get(name).map_or(&[], |value| value.as_bytes())
}

/// The start of a response body.
#[derive(Debug, Default)]
struct BodyStart {
    /// At most [`CLASSIFIED_BYTES`].
    bytes: Vec<u8>,
    /// Bytes that were read, including those that are not kept.
    read: usize,
    /// The body has ended: no byte follows those that were read.
    ended: bool,
}

impl BodyStart {
    /// Reads until the body ends, breaks off or is longer than [`DRAINED_BYTES`].
    async fn fill(&mut self, body: &mut Incoming) {
        while let Some(frame) = body.frame().await {
            // The body broke off.
            let Ok(frame) = frame else { return };
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let room = CLASSIFIED_BYTES.saturating_sub(self.bytes.len());
            self.bytes.extend(data.iter().take(room));
            self.read += data.len();
            if self.read > DRAINED_BYTES {
                return;
            }
        }
        self.ended = true;
    }

    /// The decompressed bytes, and whether more may follow them. The request does not accept gzip, but some
    /// gateways compress anyhow.
    fn decompressed(self, headers: &HeaderMap) -> (Vec<u8>, bool) {
        let cut = !self.ended || self.read > self.bytes.len();
        if !headers.contains_key(CONTENT_ENCODING) {
            return (self.bytes, cut);
        }
        let bytes = gzip::start(&[self.bytes.into()], CLASSIFIED_BYTES);
        let is_full = bytes.len() == CLASSIFIED_BYTES;
        (bytes, cut || is_full)
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
