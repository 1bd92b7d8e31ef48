//! Hashes the content of a body, independently of its division into frames and of its multipart boundary.

use std::fmt;

use crate::hasher::{self, Hasher};
use crate::multipart::Sections;

/// Hashes the content of a body: all bytes but the delimiters between the parts of a multipart body.
pub(crate) struct ContentHasher {
    hasher: Hasher,
    /// `None` if the body is not multipart.
    sections: Option<Sections>,
}

impl ContentHasher {
    /// A hasher of bodies that are not multipart. Hashes with different seeds cannot be compared.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hasher: hasher::seeded(seed),
            sections: None,
        }
    }

    /// A hasher with the seed of `self` for a multipart body with this boundary; the boundary is `None` if the body is
    /// not multipart.
    pub(crate) fn with_boundary(&self, boundary: Option<&str>) -> Self {
        Self {
            hasher: self.hasher.clone(),
            sections: boundary.map(Sections::new),
        }
    }

    /// Adds the next bytes of the body.
    pub(crate) fn push(&mut self, data: &[u8]) {
        match &mut self.sections {
            Some(sections) => sections.push(data, &mut self.hasher),
            None => self.hasher.write(data),
        }
    }

    /// Returns the hash of the complete body.
    pub(crate) fn finish(mut self) -> u128 {
        if let Some(sections) = self.sections {
            sections.finish(&mut self.hasher);
        }
        self.hasher.finish_128()
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(boundary: Option<&str>, frames: &[&[u8]]) -> u128 {
        let mut hasher = ContentHasher::new(7).with_boundary(boundary);
        frames.iter().for_each(|frame| hasher.push(frame));
        hasher.finish()
    }

    fn multipart(boundary: &str, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for part in parts {
            let head =
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"jfr\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(part);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        body
    }

    /// Cuts `body` into frames of these sizes, repeated until the body ends.
    fn cut<'a>(mut body: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
        let mut frames = Vec::new();
        for size in sizes.iter().cycle() {
            let (frame, rest) = body.split_at((*size).min(body.len()));
            frames.push(frame);
            body = rest;
            if body.is_empty() {
                break;
            }
        }
        frames
    }

    /// Bytes that resemble delimiters of either boundary more often than random bytes do.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            Just(b"\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"--".to_vec()),
            Just(b"\r\n--one".to_vec()),
            Just(b"--one\r\n".to_vec()),
            Just(b"\r\n--two".to_vec()),
            Just(b"\r\n--on".to_vec()),
        ];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    fn sizes() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(1usize..60, 1..5)
    }

    proptest! {
        #[test]
        fn neither_frames_nor_boundary_change_the_hash(
            parts in prop::collection::vec(part(), 0..4),
            boundaries in ("[a-f0-9]{8,70}", "[a-f0-9]{8,70}"),
            sizes in (sizes(), sizes()),
        ) {
            let (first, second) = boundaries;
            let bodies = [multipart(&first, &parts), multipart(&second, &parts)];
            let whole = hash(Some(&first), &[&bodies[0]]);
            prop_assert_eq!(whole, hash(Some(&first), &cut(&bodies[0], &sizes.0)));
            prop_assert_eq!(whole, hash(Some(&second), &cut(&bodies[1], &sizes.1)));
        }

        #[test]
        fn any_other_part_changes_the_hash(
            parts in prop::collection::vec(part(), 1..4),
            other in part(),
            place in any::<prop::sample::Index>(),
            sizes in (sizes(), sizes()),
        ) {
            let mut changed = parts.clone();
            *place.get_mut(&mut changed) = other;
            let [first, second] = ["4f2b8d566ae4", "e0a6fb36ba0ac6f2e3"];
            let bodies = [multipart(first, &parts), multipart(second, &changed)];
            let hashes = [
                hash(Some(first), &cut(&bodies[0], &sizes.0)),
                hash(Some(second), &cut(&bodies[1], &sizes.1)),
            ];
            prop_assert_eq!(parts == changed, hashes[0] == hashes[1]);
        }

        #[test]
        fn a_body_that_is_not_multipart_is_hashed_as_it_is(body in part(), other in part(), sizes in sizes()) {
            let whole = hash(None, &[&body]);
            prop_assert_eq!(whole, hash(None, &cut(&body, &sizes)));
            prop_assert_eq!(body == other, whole == hash(None, &[&other]));
        }
    }

    #[test]
    fn every_cut_of_every_delimiter_is_seen() {
        let parts = [b"first".to_vec(), b"x--one".to_vec(), b"\r\n--on".to_vec()];
        let [body, other] = ["one", "another"].map(|boundary| multipart(boundary, &parts));
        let expected = hash(Some("another"), &[&other]);
        for first in 0..=body.len() {
            for second in first..=body.len() {
                let frames = [&body[..first], &body[first..second], &body[second..]];
                assert_eq!(hash(Some("one"), &frames), expected, "{first}, {second}");
            }
        }
    }

    #[test]
    fn only_a_whole_line_is_a_delimiter() {
        let hashes = [
            "--one\r\nx\r\n--one--",
            "--one\r\nx\r\n--onee--",
            "--one\r\nx--one--",
            "--one\r\nx\r\n--two--",
            "--one\r\nx\r\n--one",
            "--one\r\nx\r\n\r\n--one--",
        ];
        let distinct = |boundary| {
            let hashes = hashes.map(|body| hash(boundary, &[body.as_bytes()]));
            std::collections::BTreeSet::from(hashes).len()
        };
        assert_eq!(
            (distinct(Some("one")), distinct(None)),
            (hashes.len(), hashes.len())
        );
    }

    #[test]
    fn a_line_that_goes_on_after_the_boundary_is_content() {
        for rest in ["x", "0", "\0", "\u{a0}"] {
            let hashes = ["one", "two"].map(|boundary| {
                let part = format!("a\r\n--{boundary}{rest}\r\n").into_bytes();
                hash(Some(boundary), &[&multipart(boundary, &[part])])
            });
            assert_ne!(hashes[0], hashes[1], "{rest:?}");
        }
    }

    #[test]
    fn the_number_of_sections_counts() {
        // Apart from the delimiters, both bodies have the same bytes.
        let [one, two] = ["--b\r\nx\r\n--b\r\ny\r\n--b--", "--b\r\nx\r\ny\r\n--b--"];
        assert_ne!(
            hash(Some("b"), &[one.as_bytes()]),
            hash(Some("b"), &[two.as_bytes()])
        );
    }
}
