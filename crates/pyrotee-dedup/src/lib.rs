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

mod client_id;
mod content;
mod failed_requests;
mod hasher;
mod multipart;
mod request_key;
mod retry_filter;

pub use client_id::ClientId;
pub use request_key::{KeyHasher, RequestKey};
pub use retry_filter::RetryFilter;
