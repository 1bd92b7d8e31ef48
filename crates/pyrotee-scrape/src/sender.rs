//! How a scraped profile gets into the relay.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};

/// Sends requests through the relay's own stack, as a client of its listener does.
pub trait Sender: Send + Sync {
    /// Sends one request: `POST`, the URI in origin form (`/ingest?name=…`), without `Host`. The body of the response is
    /// cut off after some KiB: the scraper only shows it.
    ///
    /// # Errors
    /// There is no response, or it took too long.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, SendError>> + Send + '_>>;
}

/// A request of the scraper got no response from the relay's own stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SendError(String);

impl SendError {
    /// `text` says what failed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
