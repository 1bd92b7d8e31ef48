//! Refusals in the shape and the words of Pyroscope, for the answers that pyrotee gives itself.

use serde_json::Value;

use crate::name::NameFault;

/// The `Content-Type` of [`error_body`].
pub const CONTENT_TYPE: &str = "application/json";

/// What went wrong, in the words of the connect protocol and the numbers of gRPC, which are the same
/// list (connectrpc.com, "Error codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
}

impl Code {
    /// The code that Pyroscope puts beside an HTTP status.
    pub const fn of_status(status: u16) -> Self {
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

    /// The word of connect.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The number of gRPC.
    pub const fn grpc(self) -> u8 {
        match self {
            Self::Unknown => 2,
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }
}

/// The body of a refusal: JSON with a code of the connect protocol and a text, and a newline.
pub fn error_body(code: Code, message: &str) -> String {
    let message = Value::from(message);
    format!("{{\"code\":\"{}\",\"message\":{message}}}\n", code.as_str())
}

/// What Pyroscope says of a name that it refuses; its status is 400.
pub fn bad_name(fault: &NameFault) -> String {
    format!("name: {fault}")
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
                Code::InvalidArgument,
                &bad_name(&NameFault::AppRequired(Dialect::Modern))
            ),
            "{\"code\":\"invalid_argument\",\"message\":\"name: service name is required\"}\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_arrives_as_it_is(message in any::<String>()) {
            let body = error_body(Code::Unknown, &message);
            prop_assert_eq!(body.matches('\n').count(), 1);
            let read: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&read["code"], &Value::from("unknown"));
            prop_assert_eq!(&read["message"], &Value::from(message));
        }
    }
}
