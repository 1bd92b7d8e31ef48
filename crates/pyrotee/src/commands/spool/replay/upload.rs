//! Uploads records as they were captured, to an address instead of a target.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use pyrotee_delivery::Content;
use pyrotee_net::{Address, Connector, HOPS, Resolver, Tls};
use pyrotee_queue::Record;
use tokio::time::{Instant, sleep_until, timeout};

use crate::build_info::VERSION;
use crate::commands::send;
use crate::terminal::visible;

/// How much of an answer is read; the rest ends the connection.
const READ: usize = 64 * 1024;

/// How much of a refusal is told, in characters.
const TOLD: usize = 256;

/// Where to.
pub(super) struct Destination {
    pub(super) address: Address,
    client: Client<Connector, Full<Bytes>>,
    timeout: Duration,
}

/// Why an upload failed.
pub(super) enum Failure {
    /// This record will never be taken: what was said.
    Refused(String),
    /// It may be taken later.
    Failed(String),
}

impl Destination {
    /// What `to` names, which has `timeout` for each upload.
    pub(super) fn at(to: &str, timeout: Duration) -> anyhow::Result<Self> {
        let connector = Connector::new(&Resolver::system()?, &Tls::system()?);
        Ok(Self {
            address: send::address(to, "use a target of a configuration (--config)")?,
            client: Client::builder(TokioExecutor::new()).build(connector),
            timeout,
        })
    }

    pub(super) async fn upload(&self, record: &Record) -> Result<(), Failure> {
        let request = self.request(record)?;
        let exchange = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| {
                let error = anyhow::Error::from(error);
                Failure::Failed(format!("{error:#}"))
            })?;
            let status = answer.status();
            #[expect(clippy::disallowed_methods, reason = "it is limited")]
            let body = Limited::new(answer.into_body(), READ).collect().await;
            let body = body.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            judge(status, &body)
        };
        match timeout(self.timeout, exchange).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::Failed(format!(
                "no complete answer within {}",
                humantime::format_duration(self.timeout)
            ))),
        }
    }

    fn request(&self, record: &Record) -> Result<Request<Full<Bytes>>, Failure> {
        let unsendable = |why: &str| Failure::Refused(format!("it cannot be sent: {why}"));
        let content = Content::untagged(record).map_err(|why| unsendable(why.as_str()))?;
        let mut path = format!(
            "{}{}",
            self.address.prefix(),
            content.surface.canonical_path()
        );
        if !content.query.is_empty() {
            path.push('?');
            path.push_str(&content.query);
        }
        let path = PathAndQuery::try_from(path).map_err(|_| unsendable("its name is too long"))?;
        let length: usize = content.body.iter().map(Bytes::len).sum();
        let mut request = Request::post(self.address.with_path(path))
            .header(HOST, self.address.authority().as_str())
            .header(USER_AGENT, format!("pyrotee/{VERSION}"))
            .header(CONTENT_LENGTH, length)
            .header(HOPS, u16::from(record.head().hops));
        let fields = [
            (CONTENT_TYPE, content.content_type),
            (CONTENT_ENCODING, content.content_encoding),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        for (name, value) in content.headers {
            request = request.header(name, value);
        }
        let body = Full::new(one(content.body));
        request
            .body(body)
            .map_err(|error| unsendable(&error.to_string()))
    }
}

/// The pieces as one; a single one is not copied.
fn one(mut pieces: Vec<Bytes>) -> Bytes {
    match (pieces.pop(), pieces.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            let mut all = BytesMut::new();
            for piece in pieces.iter().chain(&last) {
                all.extend_from_slice(piece);
            }
            all.freeze()
        }
    }
}

fn judge(status: StatusCode, body: &[u8]) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(TOLD).collect();
    let said = format!("{status} {}", visible(&text));
    match send::refuses_profile(status) {
        true => Err(Failure::Refused(said)),
        false => Err(Failure::Failed(said)),
    }
}

/// Holds a number of bytes a second.
pub(super) struct Pace {
    rate: Option<u64>,
    free: Instant,
}

impl Pace {
    pub(super) fn of(rate: Option<u64>) -> Self {
        Self {
            rate,
            free: Instant::now(),
        }
    }

    /// Waits until `bytes` more may go.
    pub(super) async fn wait(&mut self, bytes: u64) {
        let Some(rate) = self.rate else { return };
        sleep_until(self.free).await;
        let took = Duration::from_secs_f64(bytes_to_float(bytes) / bytes_to_float(rate.max(1)));
        self.free = self.free.max(Instant::now()) + took;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a pace need not be exact")]
fn bytes_to_float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pace_holds_bytes_a_second() {
        let started = Instant::now();
        let mut pace = Pace::of(Some(1_000));
        for _ in 0..5 {
            pace.wait(500).await;
        }
        assert_eq!(
            started.elapsed().as_millis(),
            2_000,
            "the first goes at once"
        );
        let mut free = Pace::of(None);
        free.wait(u64::MAX).await;
        assert_eq!(started.elapsed().as_millis(), 2_000);
    }

    #[test]
    fn pieces_become_one() {
        assert_eq!(one(vec![]), "");
        assert_eq!(one(vec!["a".into()]), "a");
        assert_eq!(one(vec!["a".into(), "b".into(), "c".into()]), "abc");
    }

    #[test]
    fn only_what_is_said_of_the_record_is_final() {
        let refused = |status: u16| {
            let judged = judge(StatusCode::from_u16(status).unwrap(), b"why");
            matches!(judged, Err(Failure::Refused(_)))
        };
        assert!(judge(StatusCode::OK, b"").is_ok());
        assert!([400, 413, 422].into_iter().all(refused));
        assert!(![401, 404, 408, 429, 500, 503].into_iter().any(refused));
    }
}
