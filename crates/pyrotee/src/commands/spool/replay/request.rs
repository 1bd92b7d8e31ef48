//! The upload of a record as it was captured: without the tags of a target.

use bytes::{Bytes, BytesMut};
use http::Request;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http_body_util::Full;
use pyrotee_client::USER_AGENT;
use pyrotee_delivery::Content;
use pyrotee_net::Address;
use pyrotee_net::HOPS;
use pyrotee_queue::Record;

/// The request that uploads `record` to `address`.
///
/// # Errors
/// No request can carry the record; the text says why.
pub(super) fn request(record: &Record, address: &Address) -> Result<Request<Full<Bytes>>, String> {
    let content = Content::untagged(record).map_err(|reason| reason.as_str().to_owned())?;
    let mut path = format!("{}{}", address.prefix(), content.surface.canonical_path());
    if !content.query.is_empty() {
        path.push('?');
        path.push_str(&content.query);
    }
    let path = PathAndQuery::try_from(path).map_err(|_| "its name is too long".to_owned())?;
    let length: usize = content.body.iter().map(Bytes::len).sum();
    let mut request = Request::post(address.with_path(path))
        .header(HOST, address.authority().as_str())
        .header(http::header::USER_AGENT, USER_AGENT)
        .header(CONTENT_LENGTH, length)
        .header(HOPS, u16::from(record.head().hops));
    let fields = [
        (CONTENT_TYPE, content.content_type),
        (CONTENT_ENCODING, content.content_encoding),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    for (name, value) in content.headers {
        request = request.header(name, value);
    }
    let body = Full::new(join(content.body));
    request.body(body).map_err(|error| error.to_string())
}

/// Joins the frames of a body; a single frame is not copied.
fn join(mut frames: Vec<Bytes>) -> Bytes {
    match (frames.pop(), frames.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            let mut body = BytesMut::new();
            for frame in frames.iter().chain(&last) {
                body.extend_from_slice(frame);
            }
            body.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_one() {
        assert_eq!(join(vec![]), "");
        assert_eq!(join(vec!["a".into()]), "a");
        assert_eq!(join(vec!["a".into(), "b".into(), "c".into()]), "abc");
    }
}
