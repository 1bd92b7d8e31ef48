//! Laws that hold for the messages of every surface, and the model of the unit tests.

#![allow(dead_code, reason = "no target needs all of it")]

#[path = "../../../../crates/pyroscope-wire/src/mirror.rs"]
pub(crate) mod mirror;

use bytes::Bytes;
use pyroscope_wire::{Coding, Encoding, Message, Surface, Tags};

pub(crate) const LIMIT_BYTES: usize = 1 << 20;

pub(crate) fn tags() -> Tags {
    let pairs = [("a", ""), ("env", "x\"\\ü"), ("service_name", "shop")];
    Tags::parse(pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap()
}

pub(crate) fn read(surface: Surface, content_type: &str, body: &[u8]) -> Message {
    let encoding = Encoding::of(surface, Some(content_type.as_bytes())).unwrap();
    let body = [Bytes::copy_from_slice(body)];
    Message::read(encoding, Coding::Identity, &body, LIMIT_BYTES).unwrap()
}

/// Tags the message twice, and gives back what it was tagged to, if it can be.
///
/// - Parts that tags do not change stay as they are, and where they are.
/// - The second time changes nothing.
pub(crate) fn tagged(message: &Message, again: impl Fn(&[u8]) -> Message) -> Option<Vec<u8>> {
    let tags = tags();
    let pieces = message.tagged(&tags).ok()?;
    assert!(pieces.iter().all(|piece| !piece.is_empty()));
    let tagged = pieces.concat();
    let second = again(&tagged);
    // Within the limit once may be beyond it twice.
    if let Ok(twice) = second.tagged(&tags) {
        assert_eq!(twice.concat(), tagged);
    }
    // The other way round does not hold: damage may go with a label that is replaced.
    assert!(message.describe().is_err() || second.describe().is_ok());
    if let Ok(parts) = message.profiles() {
        let parts: Vec<_> = parts.collect();
        assert!(second.profiles().unwrap().eq(parts.iter().cloned()));
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let (start, length) = (part.as_ptr().addr(), part.len());
            assert!(pieces.iter().any(|piece| {
                let from = piece.as_ptr().addr();
                from <= start && start + length <= from + piece.len()
            }));
        }
    }
    Some(tagged)
}
