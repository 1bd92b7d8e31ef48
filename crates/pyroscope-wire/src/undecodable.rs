//! Why a body could not be read, so that tags cannot be put into it.

use thiserror::Error;

/// What is wrong with a body. `Display` reads after "failed to" and shows nothing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Undecodable {
    /// Also what a decompression bomb is.
    #[error("decode a body to no more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// Neither `identity` nor `gzip`.
    #[error("undo an unknown content coding")]
    Coding,
    #[error("unpack gzip")]
    Gzip,
    #[error("read one gRPC message: {0}")]
    Frame(FrameFault),
    #[error("read protobuf: {0}")]
    Protobuf(ProtobufFault),
    /// Not JSON, not UTF-8, or not of the shape that the surface has.
    #[error("read JSON")]
    Json,
}

/// What is wrong with the framing of a gRPC call.
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

/// What is wrong with a protobuf message.
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
