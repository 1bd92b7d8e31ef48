//! Forwards a request while it arrives, and captures it for the mirrors.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::{Either, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
};
use hyper_util::client::legacy::{Client, connect::HttpConnector};

use super::mirror::{CapturedRequest, Mirror};

/// Forwards a request while it arrives. When the body is complete, the captured request is offered to
/// the mirrors.
pub(super) async fn forward(
    mut request: Request<Incoming>,
    upstream: SocketAddr,
    client: Client<HttpConnector, RecordingBody>,
    mirrors: Arc<[Mirror]>,
) -> Response<Either<Incoming, Empty<Bytes>>> {
    let copy = CapturedRequest::of(&request);
    *request.uri_mut() = copy.uri(upstream);
    let request = request.map(|inner| RecordingBody {
        inner,
        copy: (!mirrors.is_empty()).then_some(copy),
        mirrors,
    });
    match client.request(request).await {
        Ok(response) => response.map(Either::Left),
        Err(_) => {
            let mut response = Response::new(Either::Right(Empty::new()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

/// A request body that records the frames that pass.
#[derive(Debug)]
pub(super) struct RecordingBody {
    inner: Incoming,
    copy: Option<CapturedRequest>,
    mirrors: Arc<[Mirror]>,
}

impl Body for RecordingBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let (Some(Ok(frame)), Some(copy)) = (&frame, &mut self.copy)
            && let Some(data) = frame.data_ref()
        {
            copy.frames.push(data.clone());
        }
        // A body with a length is not polled again after its last frame.
        if (frame.is_none() || self.inner.is_end_stream())
            && let Some(copy) = self.copy.take()
        {
            let copy = Arc::new(copy);
            self.mirrors.iter().for_each(|mirror| mirror.offer(&copy));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
