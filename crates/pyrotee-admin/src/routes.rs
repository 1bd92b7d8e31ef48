//! Who answers a request to the admin listener: a page, or an action behind the guard.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::actions::Action;
use crate::response::{not_allowed, text};
use crate::{Site, dead_letters};

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    peer: IpAddr,
    site: &Site,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if let Some(rest) = dead_letters::rest_of(head.uri.path()) {
        return dead_letters::respond_to(rest, &head, body, peer, site).await;
    }
    if let Some(action) = Action::at(head.uri.path()) {
        if head.method != Method::POST {
            return not_allowed("POST", "only POST\n");
        }
        if let Err(refusal) = site.guard.check(peer, &head.headers) {
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
