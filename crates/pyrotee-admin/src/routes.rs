//! Who answers a request to the admin listener: a page, or an action behind the guard.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::Service;

use crate::actions::Action;
use crate::body::Body;
use crate::connection_info::ConnectionInfo;
use crate::guard::Access;
use crate::response::{not_allowed, text, unavailable};
use crate::{Site, dead_letters, json};

/// Answers the requests of all connections.
#[derive(Debug, Clone)]
pub(crate) struct Routes(Arc<Site>);

impl Routes {
    pub(crate) fn new(site: Arc<Site>) -> Self {
        Self(site)
    }
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let site = Arc::clone(&self.0);
        Box::pin(async move { Ok(answer(request, &site).await) })
    }
}

/// Whether a path is for probes and scrapers. It is served under any name and whatever the load.
fn is_essential(path: &str) -> bool {
    path == json::METRICS || path.starts_with("/-/")
}

/// Answers one request.
async fn answer(request: Request<Incoming>, site: &Site) -> Response<Body> {
    let (head, body) = request.into_parts();
    let connection = head.extensions.get::<ConnectionInfo>().copied();
    let connection = connection.expect("the listener tells of every request's connection");
    if !is_essential(head.uri.path()) {
        if connection.is_extra {
            return unavailable(
                "all connections of the admin listener are in use: only /-/ and /metrics are served; try again",
            );
        }
        if let Err(misdirected) = site.hosts.check(&head) {
            return misdirected.response();
        }
    }
    let peer = connection.peer;
    if let Some(rest) = dead_letters::rest_of(head.uri.path()) {
        return dead_letters::respond_to(rest, &head, body, peer, site).await;
    }
    if let Some(action) = Action::at(head.uri.path()) {
        if head.method != Method::POST {
            return not_allowed("POST", "only POST\n");
        }
        if let Err(refusal) = site.guard.check(Access::Change, peer, &head.headers) {
            return refusal.response();
        }
        let query = head.uri.query().unwrap_or_default();
        return site.actions.run(action, query).await;
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD", "only GET and HEAD\n");
    }
    let page = site.pages.get(head.uri.path());
    page.unwrap_or_else(|| {
        text(
            StatusCode::NOT_FOUND,
            "not found; see / for what there is\n",
        )
    })
}
