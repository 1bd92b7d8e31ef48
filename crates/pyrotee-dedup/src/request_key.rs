//! The key by which two requests are compared.

use bytes::Bytes;

use crate::content::ContentHasher;

/// Identifies a request: two requests with the same key are the same request, sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKey {
    /// Hash of client, surface, query and the headers that give the body its meaning.
    pub(crate) head: u64,
    /// Hash of the body, without the delimiters of a multipart body.
    pub(crate) content: u128,
}

/// Computes the [`RequestKey`] of a request while its body arrives.
#[derive(Debug)]
pub struct KeyHasher {
    pub(crate) head: u64,
    pub(crate) content: ContentHasher,
}

impl KeyHasher {
    /// Adds a frame of the body.
    pub fn push(&mut self, frame: &Bytes) {
        self.content.push(frame);
    }

    /// Returns the key of a request whose body is complete.
    pub fn finish(self) -> RequestKey {
        RequestKey {
            head: self.head,
            content: self.content.finish(),
        }
    }
}
