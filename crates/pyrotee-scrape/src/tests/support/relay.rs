//! A stand-in for the relay's own stack.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use pyroscope_wire::query;
use tokio::time::sleep;

use super::pprof;
use crate::{SendError, Sender};

/// Keeps what is sent.
#[derive(Default)]
pub(in crate::tests) struct Relay {
    sent: Mutex<Vec<Sent>>,
    /// How it responds; by default 200 at once.
    pub(in crate::tests) respond: Mutex<Option<Result<(u16, Duration), SendError>>>,
}

/// A request to the relay.
#[derive(Debug, Clone)]
pub(in crate::tests) struct Sent {
    pub(in crate::tests) query: String,
    pub(in crate::tests) headers: HeaderMap,
    /// The part `profile`.
    pub(in crate::tests) profile: Vec<u8>,
    /// The part `sample_type_config`.
    pub(in crate::tests) config: String,
}

impl Relay {
    pub(in crate::tests) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// What was sent since the last call.
    pub(in crate::tests) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

impl Sender for Relay {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, SendError>> + Send + '_>> {
        Box::pin(async move {
            let respond = self.respond.lock().unwrap().clone();
            let (status, delay) = respond.unwrap_or(Ok((200, Duration::ZERO)))?;
            sleep(delay).await;
            self.sent.lock().unwrap().push(Sent::of(&request));
            let mut response = Response::new(Bytes::from_static(b"some text"));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        })
    }
}

impl Sent {
    fn of(request: &Request<Bytes>) -> Self {
        assert_eq!(request.uri().path(), "/ingest");
        let content_type = request.headers()["content-type"].to_str().unwrap();
        let (_, boundary) = content_type.split_once("boundary=").unwrap();
        let parts = split(request.body(), format!("--{boundary}").as_bytes());
        let part = |name: &str| {
            let part = parts.iter().find(|part| {
                let head = String::from_utf8_lossy(&part[..part.len().min(200)]);
                head.contains(&format!("name=\"{name}\""))
            });
            let part = part.unwrap();
            let content = part.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
            part[content..part.len() - 2].to_vec()
        };
        Self {
            query: request.uri().query().unwrap().to_owned(),
            headers: request.headers().clone(),
            profile: part("profile"),
            config: String::from_utf8(part("sample_type_config")).unwrap(),
        }
    }

    pub(in crate::tests) fn parameter(&self, name: &str) -> String {
        let [value] = query::first(&self.query, [name]);
        value.unwrap().decode().into_owned()
    }

    /// `from` and `until` in seconds after the beginning of the test.
    pub(in crate::tests) fn window(&self) -> (f64, f64) {
        let seconds = |name| {
            let nanos: u64 = self.parameter(name).parse().unwrap();
            let start = super::start_time().duration_since(std::time::UNIX_EPOCH);
            (nanos as f64 - start.unwrap().as_nanos() as f64) / 1e9
        };
        (seconds("from"), seconds("until"))
    }

    /// `alloc_space` and `inuse_space` by the names of functions.
    pub(in crate::tests) fn heap(&self) -> BTreeMap<u64, (i64, i64)> {
        pprof::read_heap(&self.profile)
    }
}

fn split<'a>(body: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let places = body.windows(by.len()).enumerate();
    let places: Vec<_> = places
        .filter(|(_, it)| *it == by)
        .map(|(at, _)| at)
        .collect();
    places.windows(2).map(|it| &body[it[0]..it[1]]).collect()
}
