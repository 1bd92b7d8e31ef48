//! The query of a request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::Uri;
use http::request::Parts;
use pyroscope_wire::query;

/// Extracts the query of a request. A query is read as the request path reads queries of Pyroscope: the first value of
/// a repeated key counts. axum's own extractor refuses a query with repeated keys.
#[derive(Debug)]
pub(crate) struct Query(Uri);

impl Query {
    /// The decoded value of each key; `None` if the query does not have it.
    pub(crate) fn first<const N: usize>(&self, keys: [&str; N]) -> [Option<String>; N] {
        let values = query::first(self.0.query().unwrap_or_default(), keys);
        values.map(|value| value.map(|value| value.decode().into_owned()))
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(head.uri.clone()))
    }
}
