//! Why a body could not be decoded. No tags can be put into such a body.

use thiserror::Error;

/// Why a body could not be decoded. `Display` completes the sentence "failed to …" and contains
/// nothing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Undecodable {
    /// The decoded message, or the message with tags, exceeds the limit. A decompression bomb ends
    /// here too.
    #[error("decode a body to no more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// The content coding is neither `identity` nor `gzip`.
    #[error("undo an unknown content coding")]
    Coding,
    #[error("unpack gzip")]
    Gzip,
    /// More gzip members than any program writes. Each member costs time, even if it is empty.
    #[error("unpack gzip of more than 16,384 members")]
    Members,
    #[error("decode base64")]
    Base64,
    #[error("read one gRPC message: {0}")]
    Frame(FrameFault),
    #[error("read protobuf: {0}")]
    Protobuf(ProtobufFault),
    /// The body is not UTF-8, not JSON, its objects do not have the types of the surface's schema, or it has far more
    /// members and elements than a profile has.
    #[error("read JSON")]
    Json,
}

/// Why a body is not exactly one gRPC frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameFault {
    #[error("it is cut short")]
    Truncated,
    #[error("more follows it")]
    Trailing,
    #[error("its first byte is neither 0 nor 1")]
    Flags,
    #[error("it says to be compressed and no coding was declared")]
    CodingMissing,
    #[error("it has more than 4 GiB")]
    Length,
}

/// Why bytes are not a protobuf message of the expected type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtobufFault {
    #[error("it is cut short")]
    Truncated,
    #[error("a varint has more than 64 bits")]
    Varint,
    #[error("a field has no valid number")]
    Number,
    #[error("a field has a wrong type")]
    Type,
    #[error("groups are not supported")]
    Group,
}

impl From<FrameFault> for Undecodable {
    fn from(fault: FrameFault) -> Self {
        Self::Frame(fault)
    }
}

impl From<ProtobufFault> for Undecodable {
    fn from(fault: ProtobufFault) -> Self {
        Self::Protobuf(fault)
    }
}
