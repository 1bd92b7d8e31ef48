//! `tee.duplicates: drop`: recognises a client's retry of a profile that was teed, so that the
//! targets do not get it twice.
//!
//! A request that was teed and whose client got no 2xx has failed. It is remembered for two minutes
//! by client, surface, query, content and the headers that give the content its meaning; the same
//! request within that time is forwarded and not teed.
//!
//! Invariants:
//!
//! - An `/ingest` request without absolute times is never a retry: a target stores its profile at the time of receipt.
//! - The body is hashed frame by frame while it streams. Nothing is held until the response arrives.
//! - While no failed request is remembered, only a new failure takes the lock.
//! - In doubt a request is teed: a duplicate does less harm than a lost profile. Examples are a retry that arrives
//!   before the end of the body of a request that was refused early, and a retry from another client address.

mod content;
mod failed_requests;
mod hasher;
mod multipart;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use pyroscope_wire::{Surface, ingest};
use pyrotee_queue::lock;

use crate::client::RequestContext;
use crate::head::first_forwarded_for;
use content::ContentHasher;
use failed_requests::FailedRequests;
use multipart::boundary;

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
pub(crate) struct RetryFilter {
    failed: Mutex<FailedRequests>,
    /// Whether `failed` has any entry. Requests check this first, without the lock.
    any_failed: AtomicBool,
    /// Randomly seeded, so that no client can choose a head that collides with another client's.
    hasher: RandomState,
    /// Hashes bodies, cloned for each request. Randomly seeded, too.
    content: ContentHasher,
}

/// Identifies a request: two requests with the same key are the same request, sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestKey {
    /// Hash of client, surface, query and the headers that give the body its meaning.
    head: u64,
    /// Hash of the body, without the delimiters of a multipart body.
    content: u128,
}

/// Computes the [`RequestKey`] of a request while its body arrives.
#[derive(Debug)]
pub(crate) struct KeyHasher {
    head: u64,
    content: ContentHasher,
}

impl RetryFilter {
    /// A filter that remembers one failed request for each 16 KiB of `memory_limit`, which is in
    /// bytes, but at least 64 and at most [`MAX_FAILED`].
    pub(crate) fn new(memory_limit: u64) -> Arc<Self> {
        let capacity = (memory_limit / (16 * 1024)).clamp(64, MAX_FAILED);
        let hasher = RandomState::new();
        Arc::new(Self {
            failed: Mutex::new(FailedRequests::new(capacity)),
            any_failed: AtomicBool::new(false),
            content: ContentHasher::new(hasher.hash_one("content")),
            hasher,
        })
    }

    /// Starts to compute the key of a request; `None` if the request is no ingestion, is an `/ingest` request without
    /// absolute times, or did not come through the listener.
    pub(crate) fn start_key<B>(&self, request: &Request<B>) -> Option<Box<KeyHasher>> {
        let context = RequestContext::of(request)?;
        let surface = context.surface?;
        let query = request.uri().query().unwrap_or_default();
        if surface == Surface::Ingest && !ingest::has_absolute_times(query) {
            return None;
        }
        let headers = request.headers();
        let value = |name| headers.get(name).map(HeaderValue::as_bytes);
        let content_type = value(&CONTENT_TYPE);
        let boundary = boundary(content_type);
        let head = self.hasher.hash_one((
            ClientId::of(headers, context.client.peer),
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
    pub(crate) fn is_retry(&self, key: &RequestKey) -> bool {
        self.any_failed.load(Ordering::Acquire) && self.update(|failed| failed.contains(key))
    }

    /// Remembers a teed request whose response was no success, and forgets it after a success.
    pub(crate) fn set_response(&self, key: RequestKey, success: bool) {
        if !success {
            self.update(|failed| failed.add(key));
        } else if self.any_failed.load(Ordering::Acquire) {
            self.update(|failed| failed.remove(&key));
        }
    }

    fn update<T>(&self, update: impl FnOnce(&mut FailedRequests) -> T) -> T {
        let mut failed = lock(&self.failed);
        let updated = update(&mut failed);
        self.any_failed.store(!failed.is_empty(), Ordering::Release);
        updated
    }
}

impl KeyHasher {
    /// Adds a frame of the body.
    pub(crate) fn push(&mut self, frame: &Bytes) {
        self.content.push(frame);
    }

    /// Returns the key of a request whose body is complete.
    pub(crate) fn finish(self) -> RequestKey {
        RequestKey {
            head: self.head,
            content: self.content.finish(),
        }
    }
}

/// The client of a request, as the request's headers or connection identify it.
#[derive(Debug, Hash)]
enum ClientId<'a> {
    Address(IpAddr),
    /// Text that a proxy wrote in place of an address.
    Name(&'a [u8]),
}

impl<'a> ClientId<'a> {
    /// The first entry of `X-Forwarded-For`, or `peer` if there is none. Ports do not count, because a
    /// retry may come from another one.
    fn of(headers: &'a HeaderMap, peer: SocketAddr) -> Self {
        let Some(name) = first_forwarded_for(headers) else {
            return Self::Address(peer.ip().to_canonical());
        };
        let text = str::from_utf8(name).unwrap_or_default();
        let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
        match text.parse::<IpAddr>().or_else(|_| with_port()) {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(name),
        }
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

    #[test]
    fn a_client_is_its_first_forwarded_address_or_its_peer_without_a_port() {
        let peer = "10.9.9.9:5000".parse().unwrap();
        for (forwarded, client) in [
            (&[][..], "Address(10.9.9.9)"),
            (&["", " , "], "Address(10.9.9.9)"),
            (&["10.0.0.1"], "Address(10.0.0.1)"),
            (&[" 10.0.0.1 , 10.0.0.2"], "Address(10.0.0.1)"),
            (&["10.0.0.1", "10.0.0.2"], "Address(10.0.0.1)"),
            (&["10.0.0.1:4711"], "Address(10.0.0.1)"),
            (&["::ffff:10.0.0.1"], "Address(10.0.0.1)"),
            (&["[fd00::1]:4711"], "Address(fd00::1)"),
            (&["fd00::1"], "Address(fd00::1)"),
            (
                &["_hidden, 10.0.0.2"],
                "Name([95, 104, 105, 100, 100, 101, 110])",
            ),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let found = format!("{:?}", ClientId::of(&headers, peer));
            assert_eq!(found, client, "{forwarded:?}");
        }
        let mapped = "[::ffff:10.0.0.1]:1".parse().unwrap();
        let found = format!("{:?}", ClientId::of(&HeaderMap::new(), mapped));
        assert_eq!(found, "Address(10.0.0.1)");
    }
}
