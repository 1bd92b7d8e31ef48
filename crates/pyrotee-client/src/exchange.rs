//! The result of one exchange: a response, or the reason why there is none.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap, HeaderName, LOCATION};
use pyrotee_net::ExchangeError;

/// A response with the part of its body that was read.
#[derive(Debug)]
pub struct BoundedResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Why `body` is not the whole body; `None` if it is.
    pub body_error: Option<BodyError>,
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
    #[error("the response broke off")]
    Broken(#[from] hyper::Error),
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// Connecting failed: no byte of the request was sent.
    #[error("{0}")]
    Connect(ExchangeError),
    /// The response was not complete in time.
    #[error("no complete response within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The server closed the connection while the request was written, and did not respond.
    #[error("{write}: {read}")]
    Upload {
        write: io::Error,
        read: ExchangeError,
    },
    /// The connection broke, or the server sent something that is not HTTP/1.
    #[error("{0}")]
    Broken(ExchangeError),
}

impl BoundedResponse {
    /// Reads at most `limit` bytes of the body.
    pub(super) async fn read(response: hyper::Response<Incoming>, limit: usize) -> Self {
        let (head, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        let body_error = loop {
            match incoming.frame().await {
                None => break None,
                Some(Err(error)) => break Some(error.into()),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let room = limit - body.len();
                    body.extend_from_slice(data.get(..room).unwrap_or(&data));
                    if data.len() > room || data.len() == room && !incoming.is_end_stream() {
                        break Some(BodyError::TooLong(limit));
                    }
                }
            }
        };
        Self {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            body_error,
        }
    }

    /// The body as text, or the name of its coding if it has one.
    pub fn text(&self) -> String {
        match self.header(CONTENT_ENCODING) {
            Some(coding) => format!("(a text encoded with {coding})"),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        }
    }

    /// The value of `Location`: the destination of a redirect.
    pub fn location(&self) -> Option<String> {
        self.header(LOCATION)
    }

    fn header(&self, name: HeaderName) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}
