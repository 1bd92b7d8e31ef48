//! Request bodies that do not arrive because of the client.

use std::error::Error;
use std::io;
use std::time::Duration;

use pyrotee_tls::causes;

/// How a client broke the body of its own request: the `kind` label of `pyroscope_relay_client_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFault {
    /// The client closed the connection, or reset the stream, before the end of the body.
    Aborted,
    /// The framing of the body is broken, such as a chunk size that is no number.
    Malformed,
    /// The client stopped sending.
    Stalled,
}

/// The client did not send the next part of a body for this time.
#[derive(Debug, thiserror::Error)]
#[error("the client sent nothing of the request's body for {0:?}")]
pub struct UploadTimeout(pub Duration);

impl ClientFault {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Aborted, Self::Malformed, Self::Stalled];

    /// The value of the `kind` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted_body",
            Self::Malformed => "malformed_body",
            Self::Stalled => "stalled_body",
        }
    }

    /// Classifies an error of a request's body. hyper reports a broken chunk as an I/O error of invalid input or data;
    /// every other error means that the connection or the stream has ended.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        if error.is::<UploadTimeout>() {
            return Self::Stalled;
        }
        let malformed = causes(error).any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|io| {
                matches!(
                    io.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                )
            })
        });
        match malformed {
            true => Self::Malformed,
            false => Self::Aborted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_chunk_is_told_from_a_client_that_left() {
        let of = |kind| ClientFault::of(&io::Error::from(kind));
        assert_eq!(of(io::ErrorKind::InvalidInput), ClientFault::Malformed);
        assert_eq!(of(io::ErrorKind::InvalidData), ClientFault::Malformed);
        assert_eq!(of(io::ErrorKind::UnexpectedEof), ClientFault::Aborted);
        assert_eq!(of(io::ErrorKind::ConnectionReset), ClientFault::Aborted);
        assert_eq!(
            ClientFault::of(&UploadTimeout(Duration::ZERO)),
            ClientFault::Stalled
        );
    }
}
