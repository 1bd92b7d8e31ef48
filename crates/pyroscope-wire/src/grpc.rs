//! The length-prefixed framing of gRPC and gRPC-Web, for unary calls.
//!
//! A frame is one byte of flags (0, or 1 if the message is compressed), the length of the message
//! as a big-endian `u32`, and the message. A unary call has exactly one frame.

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::encoding::Framing;
use crate::grpc_web;
use crate::undecodable::{FrameFault, Undecodable};

/// The header or trailer in which a gRPC response has its status: `0`, or the number of an
/// [`RpcCode`](crate::error_response::RpcCode).
pub const STATUS: &str = "grpc-status";

/// The header or trailer in which a gRPC response has its [`error_message`].
pub const MESSAGE: &str = "grpc-message";

/// The characters that are percent-encoded in an error message, beside those that are not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Encodes the text of an error for [`MESSAGE`]: percent-encoded, so that the text is valid in a header.
pub fn error_message(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Length of the flags and of the message length, in bytes.
const PREFIX: usize = 5;

/// The message of a unary call, not yet decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcFrame {
    /// Whether the message is compressed with the coding that `grpc-encoding` names.
    pub compressed: bool,
    /// Slices of the body; none of them is empty.
    pub message: Vec<Bytes>,
}

impl GrpcFrame {
    /// Reads a body that may consist of several pieces, without copying it.
    ///
    /// # Errors
    /// The body is not exactly one frame.
    pub fn read(body: &[Bytes]) -> Result<Self, Undecodable> {
        let mut bytes = body.iter().flatten();
        let mut next = || bytes.next().copied().ok_or(FrameFault::Truncated);
        let compressed = match next()? {
            0 => false,
            1 => true,
            _ => return Err(FrameFault::Flags.into()),
        };
        let length = u32::from_be_bytes([next()?, next()?, next()?, next()?]);

        let total: usize = body.iter().map(Bytes::len).sum();
        match u64::try_from(total - PREFIX)
            .unwrap_or(u64::MAX)
            .cmp(&length.into())
        {
            std::cmp::Ordering::Less => Err(FrameFault::Truncated.into()),
            std::cmp::Ordering::Greater => Err(FrameFault::Trailing.into()),
            std::cmp::Ordering::Equal => Ok(Self {
                compressed,
                message: skip(body, PREFIX),
            }),
        }
    }

    /// Reads the body of a request with this framing. The body is copied only for [`Framing::GrpcWebText`].
    ///
    /// # Errors
    /// The body is not exactly one frame, or text that is not base64.
    pub fn of(framing: Framing, body: &[Bytes]) -> Result<Self, Undecodable> {
        match framing {
            Framing::GrpcWebText => Self::read(&[grpc_web::decode_text(body)?]),
            Framing::Plain | Framing::Grpc | Framing::GrpcWeb => Self::read(body),
        }
    }

    /// The five bytes before a message of `length` bytes.
    ///
    /// # Errors
    /// The length does not fit into four bytes.
    pub fn prefix(compressed: bool, length: usize) -> Result<[u8; PREFIX], Undecodable> {
        let length = u32::try_from(length).map_err(|_too_long| FrameFault::Length)?;
        let [a, b, c, d] = length.to_be_bytes();
        Ok([u8::from(compressed), a, b, c, d])
    }
}

fn skip(body: &[Bytes], mut count: usize) -> Vec<Bytes> {
    let mut rest = Vec::with_capacity(body.len());
    for piece in body {
        if piece.len() > count {
            let mut piece = piece.clone();
            drop(piece.split_to(count));
            rest.push(piece);
            count = 0;
        } else {
            count -= piece.len();
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8]) -> Result<GrpcFrame, Undecodable> {
        GrpcFrame::read(&[Bytes::copy_from_slice(body)])
    }

    #[test]
    fn a_unary_body_is_exactly_one_frame() {
        for (body, fault) in [
            (&b""[..], FrameFault::Truncated),
            (b"\0\0\0\0", FrameFault::Truncated),
            (b"\0\0\0\0\x02a", FrameFault::Truncated),
            (b"\x01\xff\xff\xff\xffa", FrameFault::Truncated),
            (b"\0\0\0\0\x01ab", FrameFault::Trailing),
            (b"\0\0\0\0\0\0\0\0\0\0", FrameFault::Trailing),
            (b"\x02\0\0\0\0", FrameFault::Flags),
            (b"\x80\0\0\0\0", FrameFault::Flags),
        ] {
            assert_eq!(read(body), Err(fault.into()), "{body:?}");
        }
        let empty = GrpcFrame {
            compressed: false,
            message: vec![],
        };
        assert_eq!(read(b"\0\0\0\0\0"), Ok(empty));
    }

    #[test]
    fn an_error_message_is_valid_in_a_header() {
        assert_eq!(
            error_message("a name: 'ü', 5%\n"),
            "a name: '%C3%BC', 5%25%0A"
        );
    }

    #[test]
    fn a_length_beyond_four_bytes_is_not_written() {
        assert_eq!(
            GrpcFrame::prefix(false, usize::MAX),
            Err(FrameFault::Length.into())
        );
    }

    proptest! {
        #[test]
        fn what_was_framed_comes_out_however_it_is_cut(
            message in prop::collection::vec(any::<u8>(), 0..50),
            compressed in any::<bool>(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let prefix = GrpcFrame::prefix(compressed, message.len()).unwrap();
            let body = Bytes::from([&prefix[..], &message].concat());
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(body.len())).collect();
            at.extend([0, body.len()]);
            at.sort_unstable();
            let pieces: Vec<_> = at.windows(2).map(|pair| body.slice(pair[0]..pair[1])).collect();
            let frame = GrpcFrame::read(&pieces).unwrap();
            prop_assert_eq!(frame.compressed, compressed);
            prop_assert!(frame.message.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(frame.message.concat(), message);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Ok(frame) = read(&body) {
                let prefix = GrpcFrame::prefix(frame.compressed, body.len() - 5).unwrap();
                prop_assert_eq!([&prefix[..], &frame.message.concat()].concat(), body);
            }
        }
    }
}
