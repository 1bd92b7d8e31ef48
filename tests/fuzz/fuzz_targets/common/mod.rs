//! Checks that hold for the messages of every surface, and the reference model of the unit tests.

#![allow(dead_code, reason = "no target needs all of it")]

#[path = "../../../../crates/pyroscope-wire/src/reference_model.rs"]
pub(crate) mod reference_model;

use bytes::Bytes;
use pyroscope_wire::{Coding, Encoding, Message, ProtobufFault, Surface, Tags, Undecodable};
use serde_json::Value;

pub(crate) const LIMIT_BYTES: usize = 1 << 20;

pub(crate) fn tags() -> Tags {
    let pairs = [("a", ""), ("env", "x\"\\ü"), ("service_name", "shop")];
    Tags::parse(pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap()
}

/// Calls the check of the syntax that the first byte chooses, with the rest of the bytes.
pub(crate) fn by_syntax(data: &[u8], proto: impl FnOnce(&[u8]), json: impl FnOnce(&[u8])) {
    match data.split_first() {
        Some((b'j', body)) => json(body),
        Some((_, body)) => proto(body),
        None => {}
    }
}

/// Checks that tagging a protobuf message gives the same as `upsert`, the reference model.
pub(crate) fn check_proto<R: prost::Message + Default + PartialEq + std::fmt::Debug>(
    surface: Surface,
    content_type: &str,
    body: &[u8],
    upsert: impl FnOnce(&Message, R) -> R,
) {
    let again = |body: &[u8]| read(surface, content_type, body);
    let message = again(body);
    let rewritten = tagged(&message, again);
    // prost refuses more, such as text that is not UTF-8. Every message that prost accepts must be accepted here.
    let Ok(request) = R::decode(body) else {
        return;
    };
    let Some(rewritten) = rewritten else {
        let fault = message.tagged(&tags()).unwrap_err();
        assert!(matches!(
            fault,
            Undecodable::Protobuf(ProtobufFault::Group) | Undecodable::TooLarge { .. }
        ));
        return;
    };
    assert_eq!(
        R::decode(&rewritten[..]).unwrap(),
        upsert(&message, request)
    );
}

/// Checks that tagging a JSON message gives the same as `upsert`, which changes the parsed text.
pub(crate) fn check_json(surface: Surface, body: &[u8], upsert: impl FnOnce(Value) -> Value) {
    let again = |body: &[u8]| read(surface, "application/json", body);
    let Some(rewritten) = tagged(&again(body), again) else {
        return;
    };
    // Depth and numbers are limited in a `Value`, but not in the text.
    let Ok(value) = serde_json::from_slice(body) else {
        return;
    };
    let rewritten: Value = serde_json::from_slice(&rewritten).unwrap();
    assert_eq!(rewritten, upsert(value));
}

pub(crate) fn read(surface: Surface, content_type: &str, body: &[u8]) -> Message {
    let encoding = Encoding::of(surface, Some(content_type.as_bytes())).unwrap();
    let body = [Bytes::copy_from_slice(body)];
    Message::read(encoding, Coding::Identity, &body, LIMIT_BYTES).unwrap()
}

/// Tags the message twice, and returns the tagged message if it can be tagged.
///
/// - Parts that tags do not change keep their bytes and their places.
/// - Tagging a second time changes nothing.
pub(crate) fn tagged(message: &Message, again: impl Fn(&[u8]) -> Message) -> Option<Vec<u8>> {
    let tags = tags();
    let pieces = message.tagged(&tags).ok()?;
    assert!(pieces.iter().all(|piece| !piece.is_empty()));
    let tagged = pieces.concat();
    let second = again(&tagged);
    // A message below the size limit after one tagging may be above it after two.
    if let Ok(twice) = second.tagged(&tags) {
        assert_eq!(twice.concat(), tagged);
    }
    // The reverse need not hold: a damaged label may be replaced.
    assert!(message.describe().is_err() || second.describe().is_ok());
    if let Ok(parts) = message.profiles() {
        let parts: Vec<_> = parts.collect();
        assert!(second.profiles().unwrap().eq(parts.iter().cloned()));
        reference_model::assert_not_copied(parts.into_iter(), &pieces);
    }
    Some(tagged)
}
