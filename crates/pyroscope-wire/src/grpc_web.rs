//! gRPC-Web, for unary calls: requests as text, and the trailers in the body of a response.
//!
//! A binary request is framed as in gRPC. A request as text is such a frame in base64; the base64 may consist
//! of several parts, each with its own padding (grpc/grpc, `doc/PROTOCOL-WEB.md`).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::encoding::Framing;
use crate::undecodable::Undecodable;

/// Encodes with padding, and decodes with or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The flags of a frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// Characters that are decoded at a time: a multiple of the 4 that stand for 3 bytes.
const STEP: usize = 4096;

/// Decodes the text of a body that may consist of several pieces.
///
/// # Errors
/// The body is not base64.
pub(crate) fn decode_text(body: &[Bytes]) -> Result<Bytes, Undecodable> {
    let length: usize = body.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(length / 4 * 3 + 3);
    let mut step = Vec::with_capacity(STEP);
    for byte in body.iter().flatten() {
        step.push(*byte);
        // Padding ends a part; another part may follow.
        if step.len() == STEP || (*byte == b'=' && step.len().is_multiple_of(4)) {
            decode_step(&mut step, &mut out)?;
        }
    }
    decode_step(&mut step, &mut out)?;
    Ok(out.into())
}

fn decode_step(step: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Undecodable> {
    BASE64
        .decode_vec(&step, out)
        .map_err(|_malformed| Undecodable::Base64)?;
    step.clear();
    Ok(())
}

/// The body of a response: the message, if there is one, and a frame with the trailers, which are lines of
/// `name: value`. For [`Framing::GrpcWebText`] the body is encoded as base64.
pub fn response_body(framing: Framing, message: Option<&[u8]>, trailers: &[(&str, &str)]) -> Bytes {
    let lines = trailers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let lines = lines.collect::<String>();
    let mut body = Vec::new();
    if let Some(message) = message {
        put_frame(&mut body, 0, message);
    }
    put_frame(&mut body, TRAILERS, lines.as_bytes());
    match framing {
        Framing::GrpcWebText => BASE64.encode(body).into(),
        Framing::Plain | Framing::Grpc | Framing::GrpcWeb => body.into(),
    }
}

fn put_frame(out: &mut Vec<u8>, flags: u8, data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    out.push(flags);
    out.extend(length.to_be_bytes());
    out.extend(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Result<Bytes, Undecodable> {
        decode_text(&[Bytes::copy_from_slice(text.as_bytes())])
    }

    #[test]
    fn text_may_come_in_several_padded_parts_or_without_padding() {
        for (text, bytes) in [
            ("", ""),
            ("YWJj", "abc"),
            ("YWI=YWI=", "abab"),
            ("YQ==YWJjYQ==", "aabca"),
            ("YWI", "ab"),
            ("YQ", "a"),
        ] {
            assert_eq!(decode(text).unwrap(), bytes, "{text}");
        }
        for text in ["Y", "YW=I", "====", "Y===", "YWJj\n", "YWJ*", "_-_-"] {
            assert_eq!(decode(text), Err(Undecodable::Base64), "{text}");
        }
    }

    #[test]
    fn a_response_ends_with_its_trailers() {
        let trailers = [("grpc-status", "0")];
        let body = response_body(Framing::GrpcWeb, Some(b""), &trailers);
        assert_eq!(body, &b"\0\0\0\0\0\x80\0\0\0\x10grpc-status: 0\r\n"[..]);
        let text = response_body(Framing::GrpcWebText, Some(b""), &trailers);
        assert_eq!(decode_text(&[text]), Ok(body));
        let error = [("grpc-status", "3"), ("grpc-message", "no")];
        let error = response_body(Framing::GrpcWeb, None, &error);
        assert_eq!(
            error,
            &b"\x80\0\0\0\x22grpc-status: 3\r\ngrpc-message: no\r\n"[..]
        );
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_however_it_is_cut(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4000), 0..4),
            size in 1..5000_usize,
        ) {
            let text: String = parts.iter().map(|part| BASE64.encode(part)).collect();
            let pieces: Vec<_> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
            prop_assert_eq!(decode_text(&pieces).unwrap(), parts.concat());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(body in prop::collection::vec(any::<u8>(), 0..16)) {
            let decoded = decode_text(&[Bytes::from(body)]);
            prop_assert!(decoded.is_ok() || decoded == Err(Undecodable::Base64));
        }
    }
}
