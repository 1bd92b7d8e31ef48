//! Error responses as Pyroscope writes them, for the requests that pyrotee answers itself.

use serde_json::Value;

use crate::name::NameFault;
use crate::undecodable::Undecodable;

/// The `Content-Type` of [`error_body`].
pub const CONTENT_TYPE: &str = "application/json";

/// An error code of the connect protocol and of gRPC. Both have the same list: connect writes a code
/// as a word, gRPC as a number (connectrpc.com, "Error codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcCode {
    Canceled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl RpcCode {
    /// Every code.
    const ALL: [Self; 16] = [
        Self::Canceled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Reads a code as connect writes it (`invalid_argument`) or as Go's gRPC does
    /// (`InvalidArgument`).
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let letters = |word: &'_ str| word.replace('_', "").to_ascii_lowercase();
        let word = letters(word);
        Self::ALL
            .into_iter()
            .find(|code| letters(code.as_str()) == word)
    }

    /// Reads the number that gRPC writes in `grpc-status`.
    pub(crate) fn from_grpc_status(number: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|code| u64::from(code.grpc_status()) == number)
    }

    /// The code that Pyroscope sends with an HTTP status.
    pub const fn from_http_status(status: u16) -> Self {
        match status {
            400 | 413 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            429 => Self::ResourceExhausted,
            500 => Self::Internal,
            501 => Self::Unimplemented,
            503 => Self::Unavailable,
            504 => Self::DeadlineExceeded,
            _ => Self::Unknown,
        }
    }

    /// The word that the connect protocol writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out_of_range",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data_loss",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The number that gRPC writes in `grpc-status`.
    pub const fn grpc_status(self) -> u8 {
        match self {
            Self::Canceled => 1,
            Self::Unknown => 2,
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Aborted => 10,
            Self::OutOfRange => 11,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::DataLoss => 15,
            Self::Unauthenticated => 16,
        }
    }
}

/// The body of an error response: a JSON object with `code` and `message`, and a newline.
pub fn error_body(code: RpcCode, message: &str) -> String {
    let message = Value::from(message);
    format!("{{\"code\":\"{}\",\"message\":{message}}}\n", code.as_str())
}

/// The message with which Pyroscope refuses a name; the response has status 400.
pub fn invalid_name_message(fault: &NameFault) -> String {
    format!("name: {fault}")
}

/// The message with which Pyroscope refuses a body that it cannot read; the response has status 400. The
/// message begins as in the connect library, on which Pyroscope is built.
pub fn undecodable_message(fault: &Undecodable) -> String {
    format!("unmarshal message: failed to {fault}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Dialect;

    #[test]
    fn a_refused_name_is_answered_in_the_words_of_pyroscope() {
        assert_eq!(
            error_body(
                RpcCode::InvalidArgument,
                &invalid_name_message(&NameFault::AppRequired(Dialect::Modern))
            ),
            "{\"code\":\"invalid_argument\",\"message\":\"name: service name is required\"}\n"
        );
    }

    #[test]
    fn a_code_is_read_as_connect_and_as_grpc_write_it() {
        for (number, code) in (1..).zip(RpcCode::ALL) {
            assert_eq!(RpcCode::parse(code.as_str()), Some(code));
            assert_eq!(RpcCode::parse(&format!("{code:?}")), Some(code));
            assert_eq!(RpcCode::from_grpc_status(number), Some(code));
        }
        assert_eq!(RpcCode::parse("ok"), None);
        assert_eq!(RpcCode::from_grpc_status(0), None);
        assert_eq!(RpcCode::from_grpc_status(17), None);
    }

    #[test]
    fn a_refused_body_is_answered_with_what_is_wrong_with_it() {
        assert_eq!(
            undecodable_message(&Undecodable::Gzip),
            "unmarshal message: failed to unpack gzip"
        );
    }

    proptest! {
        #[test]
        fn any_text_arrives_as_it_is(message in any::<String>()) {
            let body = error_body(RpcCode::Unknown, &message);
            prop_assert_eq!(body.matches('\n').count(), 1);
            let read: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&read["code"], &Value::from("unknown"));
            prop_assert_eq!(&read["message"], &Value::from(message));
        }
    }
}
