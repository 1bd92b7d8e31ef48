use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::{ProtobufFault, Surface};

/// A series without labels.
const BODY: &[u8] = b"\x0a\x04\x12\x02\x0a\x00";
const TAGGED: &[u8] = b"\x0a\x0c\x0a\x06\x0a\x01e\x12\x01x\x12\x02\x0a\x00";

fn push(content_type: &str) -> Encoding {
    Encoding::of(Surface::Push, Some(content_type.as_bytes())).unwrap()
}

fn tags() -> Tags {
    Tags::parse([("e".to_owned(), "x".to_owned())]).unwrap()
}

/// The bytes in pieces of three.
fn pieces(bytes: &[u8]) -> Vec<Bytes> {
    bytes.chunks(3).map(Bytes::copy_from_slice).collect()
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut body = GrpcFrame::prefix(false, message.len()).unwrap().to_vec();
    body[0] = flag;
    body.extend(message);
    body
}

fn gzipped(bytes: &'static [u8]) -> Vec<u8> {
    gzip::compress(&[Bytes::from_static(bytes)]).to_vec()
}

#[test]
fn every_way_of_sending_leads_to_the_same_message() {
    let (plain, grpc) = (push("application/proto"), push("application/grpc"));
    let (web, text) = (
        push("application/grpc-web"),
        push("application/grpc-web-text"),
    );
    let base64 = |body: Vec<u8>| STANDARD.encode(body).into_bytes();
    for (encoding, coding, body) in [
        (web, Coding::Identity, framed(0, BODY)),
        (web, Coding::Gzip, framed(1, &gzipped(BODY))),
        (text, Coding::Identity, base64(framed(0, BODY))),
        (text, Coding::Gzip, base64(framed(1, &gzipped(BODY)))),
        (plain, Coding::Identity, BODY.to_vec()),
        (plain, Coding::Gzip, gzipped(BODY)),
        (grpc, Coding::Identity, framed(0, BODY)),
        (grpc, Coding::Gzip, framed(0, BODY)),
        (grpc, Coding::Gzip, framed(1, &gzipped(BODY))),
    ] {
        for body in [pieces(&body), vec![body.into()]] {
            let message = Message::read(encoding, coding, &body, 1000).unwrap();
            assert_eq!(message.bytes(), BODY);
            assert_eq!(message.content_type(), "application/proto");
            assert_eq!(message.tagged(&tags()).unwrap().concat(), TAGGED);
        }
    }
}

#[test]
fn a_body_in_one_piece_is_not_copied() {
    let body = Bytes::from_static(BODY);
    let body = std::slice::from_ref(&body);
    let message = Message::read(push("application/proto"), Coding::Identity, body, 10).unwrap();
    assert_eq!(message.bytes().as_ptr(), BODY.as_ptr());
}

#[test]
fn an_empty_message_needs_no_gzip() {
    for (content_type, body) in [
        ("application/proto", vec![]),
        ("application/grpc", framed(1, b"")),
        ("application/grpc", framed(0, b"")),
    ] {
        let message = Message::read(push(content_type), Coding::Gzip, &pieces(&body), 10).unwrap();
        assert!(message.bytes().is_empty());
        assert!(message.tagged(&tags()).unwrap().is_empty());
    }
}

#[test]
fn a_message_over_the_limit_is_too_large_however_it_is_sent() {
    let limit_bytes = BODY.len() - 1;
    for (content_type, coding, body) in [
        ("application/proto", Coding::Identity, BODY.to_vec()),
        ("application/proto", Coding::Gzip, gzipped(BODY)),
        ("application/grpc", Coding::Identity, framed(0, BODY)),
        ("application/grpc", Coding::Gzip, framed(1, &gzipped(BODY))),
    ] {
        let read = Message::read(push(content_type), coding, &pieces(&body), limit_bytes);
        assert_eq!(read.unwrap_err(), Undecodable::TooLarge { limit_bytes });
    }
}

#[test]
fn a_message_that_tags_would_blow_up_is_too_large() {
    let limit_bytes = 1 << 20;
    for (content_type, body) in [
        ("application/proto", b"\x0a\x00".repeat(500_000)),
        (
            "application/proto",
            [
                b"\x0a\xc0\x84\x3d".to_vec(),
                b"\x0a\x03\x0a\x01e".repeat(200_000),
            ]
            .concat(),
        ),
        (
            "application/json",
            [
                b"{\"series\":[{}".to_vec(),
                b",{}".repeat(300_000),
                b"]}".to_vec(),
            ]
            .concat(),
        ),
    ] {
        let body = [Bytes::from(body)];
        let read = Message::read(push(content_type), Coding::Identity, &body, limit_bytes);
        let tagged = read.unwrap().tagged(&tags());
        assert_eq!(
            tagged,
            Err(Undecodable::TooLarge { limit_bytes }),
            "{content_type}"
        );
    }
}

#[test]
fn damage_is_a_fault() {
    let cut = &gzipped(BODY)[..20];
    for (content_type, coding, body, fault) in [
        ("application/proto", Coding::Gzip, BODY, Undecodable::Gzip),
        ("application/proto", Coding::Gzip, cut, Undecodable::Gzip),
        (
            "application/grpc",
            Coding::Identity,
            BODY,
            FrameFault::Flags.into(),
        ),
        (
            "application/grpc",
            Coding::Identity,
            &framed(1, BODY),
            FrameFault::CodingMissing.into(),
        ),
        (
            "application/grpc",
            Coding::Gzip,
            &framed(1, BODY),
            Undecodable::Gzip,
        ),
        (
            "application/grpc-web-text",
            Coding::Identity,
            b"AAAA*",
            Undecodable::Base64,
        ),
        (
            "application/grpc-web-text",
            Coding::Identity,
            b"AAAA",
            FrameFault::Truncated.into(),
        ),
    ] {
        let read = Message::read(push(content_type), coding, &pieces(body), 1000);
        assert_eq!(read.unwrap_err(), fault);
    }
    let read = Message::read(
        push("application/proto"),
        Coding::Identity,
        &pieces(b"\x0a"),
        10,
    );
    let truncated = Err(ProtobufFault::Truncated.into());
    assert_eq!(read.unwrap().tagged(&tags()), truncated);
}

#[test]
fn without_tags_the_message_goes_out_as_it_was_received() {
    let packed = gzipped(BODY);
    let (plain, grpc) = (push("application/json"), push("application/grpc+json"));
    for (encoding, coding, body, wanted, sent_as) in [
        (
            plain,
            Coding::Identity,
            &b"any"[..],
            &b"any"[..],
            Coding::Identity,
        ),
        (plain, Coding::Gzip, b"any", b"any", Coding::Gzip),
        (plain, Coding::Gzip, b"", b"", Coding::Gzip),
        (
            grpc,
            Coding::Identity,
            &framed(0, b"any"),
            b"any",
            Coding::Identity,
        ),
        (
            grpc,
            Coding::Gzip,
            &framed(0, b"any"),
            b"any",
            Coding::Identity,
        ),
        (
            grpc,
            Coding::Gzip,
            &framed(1, &packed),
            &packed,
            Coding::Gzip,
        ),
    ] {
        let body = pieces(body);
        let (received_coding, message) = unframe(encoding, coding, &body).unwrap();
        assert_eq!(message.concat(), wanted);
        assert_eq!(received_coding, sent_as);
        assert_eq!(encoding.content_type(), "application/json");
    }
    let cut = pieces(b"\x01\0\0");
    let cut = unframe(grpc, Coding::Gzip, &cut);
    assert_eq!(cut, Err(FrameFault::Truncated.into()));
}
