//! The bodies of the admin listener's responses.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every response: a whole text, a page in pieces, or a file in pieces.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is small, or charged to the memory limit.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
