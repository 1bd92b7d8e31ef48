//! One exchange whose steps the test chooses.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tower::{Layer, Service, service_fn};

use super::{Frames, from_listener, poll_now};
use crate::tee::{TeeBody, TeeLayer};

type UpstreamResponse = Result<Response<Frames>, &'static str>;
type Future = Pin<Box<dyn std::future::Future<Output = Result<(), &'static str>>>>;

/// A request in flight. Dropping the exchange stands for a client that leaves.
pub(super) struct Exchange {
    client: Future,
    body: TeeBody<Frames>,
    upstream: oneshot::Sender<UpstreamResponse>,
}

impl Exchange {
    pub(super) fn begin(layer: &TeeLayer, request: Request<Frames>) -> Self {
        Self::begin_attached(layer, from_listener(request))
    }

    /// Begins a request that has its context already.
    pub(super) fn begin_attached(layer: &TeeLayer, request: Request<Frames>) -> Self {
        let (upstream, response) = oneshot::channel::<UpstreamResponse>();
        let mut response = Some(response);
        let body = Arc::new(Mutex::new(None));
        let arrived = Arc::clone(&body);
        let mut tee = layer.layer(service_fn(move |request: Request<TeeBody<Frames>>| {
            *arrived.lock().unwrap() = Some(request.into_body());
            let response = response.take().expect("one request");
            async move { response.await.expect("the upstream responds") }
        }));
        let future = tee.call(request);
        let client = Box::pin(async move {
            let mut body = Box::pin(future.await?.into_body());
            while let Some(frame) = body.frame().await {
                frame?;
            }
            Ok(())
        });
        let body = body.lock().unwrap().take().expect("it was called");
        Self {
            client,
            body,
            upstream,
        }
    }

    /// The upstream reads the body to its end, or until the body breaks off.
    pub(super) fn read(mut self) -> Self {
        while !self.body.is_end_stream() && matches!(poll_now(&mut self.body), Some(Ok(_))) {}
        self
    }

    /// The upstream responds, and the client reads the response to its end.
    pub(super) fn respond(self, status: u16) -> Reading {
        let body = Frames::new(&[Bytes::from_static(b"said")], true);
        self.finish(Ok(response(status, body)))
    }

    /// The upstream responds to a gRPC call, with a status in the trailers if there is one.
    pub(super) fn respond_grpc(self, status: Option<&'static str>) -> Reading {
        let mut body = Frames::new(&[Bytes::from_static(b"said")], false);
        let trailers = status.map(|status| {
            let status = ("grpc-status".parse().unwrap(), status.parse().unwrap());
            Frame::trailers(HeaderMap::from_iter([status]))
        });
        body.breaks = trailers.is_none();
        body.frames.extend(trailers);
        let mut response = response(200, body);
        let kind = "application/grpc".parse().unwrap();
        response.headers_mut().insert("content-type", kind);
        self.finish(Ok(response))
    }

    /// The upstream cannot be reached.
    pub(super) fn fail(self) -> Reading {
        self.finish(Err("connection refused"))
    }

    fn finish(self, response: UpstreamResponse) -> Reading {
        let Self {
            mut client,
            body,
            upstream,
        } = self;
        drop(upstream.send(response));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match client.as_mut().poll(&mut cx) {
            Poll::Ready(_ended) => Reading(body),
            Poll::Pending => panic!("the tee must not wait of its own accord"),
        }
    }
}

fn response(status: u16, body: Frames) -> Response<Frames> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// The body of a request that has its response. The body may still be read.
pub(super) struct Reading(TeeBody<Frames>);

impl Reading {
    pub(super) fn read(mut self) {
        while !self.0.is_end_stream() && matches!(poll_now(&mut self.0), Some(Ok(_))) {}
    }
}
