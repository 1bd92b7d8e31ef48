//! The filter that recognises the retries of failed requests.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use pyroscope_wire::{Surface, ingest};

use crate::content::ContentHasher;
use crate::failed_requests::FailedRequests;
use crate::multipart::boundary;
use crate::{ClientId, KeyHasher, RequestKey};

/// Maximum number of failed requests, at about 150 bytes of memory each.
const MAX_FAILED: u64 = 16_384;

/// The headers that give a body its meaning, besides `Content-Type`. A client that sends a refused body again with
/// another value of such a header has corrected its request.
static MEANING: [HeaderName; 3] = [
    CONTENT_ENCODING,
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("otlp-profiles-development-version"),
];

/// Recognises the retries of failed requests.
#[derive(Debug)]
pub struct RetryFilter {
    failed: Mutex<FailedRequests>,
    /// Whether `failed` has any entry. Requests check this first, without the lock.
    any_failed: AtomicBool,
    /// Randomly seeded, so that no client can choose a head that collides with another client's.
    hasher: RandomState,
    /// Hashes bodies, cloned for each request. Randomly seeded, too.
    content: ContentHasher,
}

impl RetryFilter {
    /// A filter that remembers one failed request for each 16 KiB of `memory_limit`, which is in
    /// bytes, but at least 64 and at most 16,384.
    pub fn new(memory_limit: u64) -> Arc<Self> {
        let capacity = (memory_limit / (16 * 1024)).clamp(64, MAX_FAILED);
        let hasher = RandomState::new();
        Arc::new(Self {
            failed: Mutex::new(FailedRequests::new(capacity)),
            any_failed: AtomicBool::new(false),
            content: ContentHasher::new(hasher.hash_one("content")),
            hasher,
        })
    }

    /// Starts to compute the key of an ingestion request; `None` for an `/ingest` request without absolute times.
    pub fn start_key<B>(
        &self,
        request: &Request<B>,
        surface: Surface,
        client: &ClientId<'_>,
    ) -> Option<Box<KeyHasher>> {
        let query = request.uri().query().unwrap_or_default();
        if surface == Surface::Ingest && !ingest::has_absolute_times(query) {
            return None;
        }
        let headers = request.headers();
        let value = |name| headers.get(name).map(HeaderValue::as_bytes);
        let content_type = value(&CONTENT_TYPE);
        let boundary = boundary(content_type);
        let head = self.hasher.hash_one((
            client,
            surface.id(),
            query,
            MEANING.each_ref().map(value),
            // The type of a multipart body contains the boundary, which differs at each try.
            content_type.filter(|_| boundary.is_none()),
        ));
        let content = self.content.with_boundary(boundary);
        Some(Box::new(KeyHasher { head, content }))
    }

    /// Whether a request with this key has failed within the last two minutes.
    pub fn is_retry(&self, key: &RequestKey) -> bool {
        self.any_failed.load(Ordering::Acquire) && self.update(|failed| failed.contains(key))
    }

    /// Remembers a teed request whose response was no success, and forgets it after a success.
    pub fn set_response(&self, key: RequestKey, success: bool) {
        if !success {
            self.update(|failed| failed.add(key));
        } else if self.any_failed.load(Ordering::Acquire) {
            self.update(|failed| failed.remove(&key));
        }
    }

    fn update<T>(&self, update: impl FnOnce(&mut FailedRequests) -> T) -> T {
        // A panic leaves the requests as they are: at worst a retry is teed.
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let updated = update(&mut failed);
        self.any_failed.store(!failed.is_empty(), Ordering::Release);
        updated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_that_a_surface_says_gives_the_body_its_meaning_is_compared() {
        for name in Surface::ALL
            .iter()
            .flat_map(|surface| surface.meaning_headers())
        {
            assert!(MEANING.iter().any(|compared| compared == *name), "{name}");
        }
    }
}
