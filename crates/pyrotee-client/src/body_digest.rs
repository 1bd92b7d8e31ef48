//! Length and hash of a body, computed while the body passes; `send` and `sink` print the same hash.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Counts and hashes the bytes of a body.
#[derive(Debug, Default)]
pub struct BodyHasher {
    bytes: u64,
    hash: Sha256,
}

/// Length and hash of a body that was not kept. `Display` is the first 16 hex digits of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest {
    pub bytes: u64,
    start: [u8; 8],
}

impl BodyHasher {
    /// Adds the next bytes of the body.
    pub fn update(&mut self, data: &[u8]) {
        self.bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.hash.update(data);
    }

    /// Ends the body.
    pub fn finish(self) -> BodyDigest {
        let mut start = [0; 8];
        for (to, from) in start.iter_mut().zip(self.hash.finalize()) {
            *to = from;
        }
        BodyDigest {
            bytes: self.bytes,
            start,
        }
    }
}

impl BodyDigest {
    /// The digest of a whole body.
    pub fn of(data: &[u8]) -> Self {
        let mut hasher = BodyHasher::default();
        hasher.update(data);
        hasher.finish()
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_start_of_the_sha_256() {
        let digest = BodyDigest::of(b"abc");
        assert_eq!(
            (digest.bytes, digest.to_string().as_str()),
            (3, "ba7816bf8f01cfea")
        );
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hasher = BodyHasher::default();
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), BodyDigest::of(b"abc"));
    }
}
