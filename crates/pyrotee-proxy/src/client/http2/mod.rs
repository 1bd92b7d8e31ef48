//! Limits on the memory that the streams of an HTTP/2 connection hold, and on how long they hold it.
//!
//! hyper bounds the memory of a stream, but not of all streams of a connection together: a head of a few bytes can
//! decode to 256 KiB. hyper also waits for ever for a client that opens no flow-control window for a response.

mod executor;
mod paced_body;
mod stream;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use http::Request;
use pyrotee_net::server::ConnectionTimeouts;
use pyrotee_queue::lock;

use super::MAX_HEAD;
pub(crate) use executor::StreamExecutor;
pub(crate) use paced_body::PacedBody;
use stream::Http2Stream;

/// Maximum memory for the heads of all open streams of a connection, in bytes. Room for one head of [`MAX_HEAD`], or
/// for hundreds of usual ones.
const MAX_HEADS: u64 = 512 * 1024;

/// Memory that a header field takes besides its name and value, in bytes.
const FIELD_OVERHEAD: usize = 128;

/// Largest head of a stream, as [`head_cost`] counts.
const MAX_HEAD_COST: u64 = (MAX_HEAD + crate::head::MAX_FIELDS * FIELD_OVERHEAD) as u64;

/// The open streams of one HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Http2Streams {
    timeouts: Arc<ConnectionTimeouts>,
    /// Bytes of the heads of all open streams.
    heads: AtomicU64,
    /// The stream that was admitted last, until the task that serves it starts.
    admitted: Mutex<Option<Arc<stream::Progress>>>,
}

/// Why a stream is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamRefusal {
    /// The head is larger than [`MAX_HEAD_COST`]: the response is a 431.
    HeadTooLarge,
    /// The heads of the open streams reach [`MAX_HEADS`]: the client may send the request again when a stream has
    /// ended.
    TooManyHeads,
}

impl Http2Streams {
    pub(crate) fn new(timeouts: Arc<ConnectionTimeouts>) -> Arc<Self> {
        Arc::new(Self {
            timeouts,
            heads: AtomicU64::new(0),
            admitted: Mutex::default(),
        })
    }

    /// Admits the stream of `request`, and charges its head until the stream is dropped.
    pub(crate) fn admit<B>(
        self: &Arc<Self>,
        request: &Request<B>,
    ) -> Result<Http2Stream, StreamRefusal> {
        let cost = head_cost(request);
        if cost > MAX_HEAD_COST {
            // hyper, too, closes an HTTP/1.1 connection after such a head. Large heads take time to decode, and the
            // client could send any number of them.
            self.timeouts.close_when_idle();
            return Err(StreamRefusal::HeadTooLarge);
        }
        let with_this = |heads: u64| Some(heads + cost).filter(|heads| *heads <= MAX_HEADS);
        self.heads
            .fetch_update(Relaxed, Relaxed, with_this)
            .map_err(|_full| StreamRefusal::TooManyHeads)?;
        self.timeouts.request_started();
        let stream = Http2Stream::new(Arc::clone(self), cost);
        *lock(&self.admitted) = Some(stream.progress());
        Ok(stream)
    }

    fn take_admitted(&self) -> Option<Arc<stream::Progress>> {
        lock(&self.admitted).take()
    }

    /// Releases the head of an admitted stream that has ended.
    fn ended(&self, head_cost: u64) {
        self.heads.fetch_sub(head_cost, Relaxed);
        self.timeouts.request_ended();
    }
}

/// Memory that the head of a request takes, in bytes.
fn head_cost<B>(request: &Request<B>) -> u64 {
    let target = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + FIELD_OVERHEAD
    };
    let fields: usize = request.headers().iter().map(field).sum();
    (target + fields) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::DEADLINES;

    fn streams() -> Arc<Http2Streams> {
        Http2Streams::new(Arc::new(ConnectionTimeouts::new(DEADLINES)))
    }

    fn request(fields: usize, value: usize) -> Request<()> {
        let mut request = Request::get("/");
        for _ in 0..fields {
            request = request.header("x", "v".repeat(value));
        }
        request.body(()).unwrap()
    }

    #[test]
    fn all_heads_of_a_connection_share_one_limit() {
        let streams = streams();
        let large = request(100, 2_000);
        let open = [
            streams.admit(&large).unwrap(),
            streams.admit(&large).unwrap(),
        ];
        let refused = streams.admit(&large).unwrap_err();
        assert_eq!(refused, StreamRefusal::TooManyHeads);
        assert!(streams.admit(&request(10, 20)).is_ok(), "a small one fits");
        drop(open);
        assert!(streams.admit(&large).is_ok());
    }

    #[test]
    fn a_head_that_never_fits_is_too_large() {
        let streams = streams();
        for large in [request(1, 280_000), request(3_000, 1)] {
            let refused = streams.admit(&large).unwrap_err();
            assert_eq!(refused, StreamRefusal::HeadTooLarge);
        }
        assert!(streams.admit(&request(120, 2_000)).is_ok());
    }
}
