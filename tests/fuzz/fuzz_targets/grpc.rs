//! The body of a gRPC or gRPC-Web call, whole and in pieces. The first byte of the input is the length of a piece.

#![no_main]

mod common;

use bytes::Bytes;
use common::{LIMIT_BYTES, tags};
use libfuzzer_sys::fuzz_target;
use pyroscope_wire::grpc::GrpcFrame;
use pyroscope_wire::{Coding, Encoding, Message, Surface, message};

fuzz_target!(|data: &[u8]| {
    let Some((&step, body)) = data.split_first() else {
        return;
    };
    let pieces: Vec<_> = body
        .chunks(usize::from(step) + 1)
        .map(Bytes::copy_from_slice)
        .collect();
    let whole = [Bytes::copy_from_slice(body)];

    let frame = GrpcFrame::read(&pieces);
    let other = GrpcFrame::read(&whole);
    assert_eq!(frame.is_ok(), other.is_ok());
    if let (Ok(frame), Ok(other)) = (&frame, &other) {
        assert_eq!(frame.message.concat(), other.message.concat());
        let message = frame.message.concat();
        let prefix = GrpcFrame::prefix(frame.compressed, message.len()).unwrap();
        assert_eq!([&prefix[..], &message].concat(), body);
    }

    let calls = ["application/grpc", "application/grpc-web-text"];
    let codings = [Coding::Identity, Coding::Gzip];
    for (call, coding) in calls
        .into_iter()
        .flat_map(|call| codings.map(|it| (call, it)))
    {
        let encoding = Encoding::of(Surface::Push, Some(call.as_bytes())).unwrap();
        let unframed = message::unframe(encoding, coding, &pieces);
        let read = Message::read(encoding, coding, &pieces, LIMIT_BYTES);
        let again = Message::read(encoding, coding, &whole, LIMIT_BYTES);
        assert_eq!(read.as_ref().err(), again.as_ref().err());
        let Ok(read) = read else { continue };
        assert_eq!(read.bytes(), again.unwrap().bytes());
        assert!(read.bytes().len() <= LIMIT_BYTES);

        // A target without tags gets the message taken out of its frame. Read as that content type, it must be the same
        // message.
        let (coding, body) = unframed.unwrap();
        let plain = Encoding::of(Surface::Push, Some(encoding.content_type().as_bytes())).unwrap();
        let delivered = Message::read(plain, coding, &body, LIMIT_BYTES);
        assert_eq!(delivered.unwrap().bytes(), read.bytes());
        drop(read.tagged(&tags()));
    }
});
