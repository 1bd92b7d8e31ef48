//! The route table of the admin listener, and the checks that a request passes before its handler.

use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_extractor_with_state, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use axum::{Extension, Router};
use http::StatusCode;
use http::header::ALLOW;

use crate::connection_info::ConnectionInfo;
use crate::dead_letters::OpenLetters;
use crate::guard::Access;
use crate::json::{self, dead_letters as letters};
use crate::response::Failure;
use crate::site::SharedSite;
use crate::{actions, dead_letters, pages, reload, shared, spool};

const HEALTHY: &str = "/-/healthy";
const READY: &str = "/-/ready";

/// The handlers of one path.
type Handlers = MethodRouter<SharedSite>;

/// Maps every path and method to its handler.
pub(crate) fn router(site: &SharedSite) -> Router {
    let require_open = from_extractor_with_state::<OpenLetters, _>(site.clone());
    let letters = Router::new()
        .route(letters::PATH, page(dead_letters::list))
        .route(letters::PATH_SLASH, page(dead_letters::list))
        .route(letters::LETTER, contents(site, get(dead_letters::show)))
        // `pyrotee dead-letters show` sends a POST, because older relays accept no other method here.
        .route(
            letters::REQUEST,
            contents(site, get(dead_letters::request).post(dead_letters::request)),
        )
        .route(
            letters::NO_LETTER,
            contents(site, get(dead_letters::show).post(dead_letters::show)),
        )
        .route(letters::REPLAY, action(site, dead_letters::replay))
        .route(letters::PURGE, action(site, dead_letters::purge))
        // Checked before the guard, so that a relay without dead letters responds 404 instead of asking for a token.
        .route_layer(require_open);
    Router::new()
        .route("/", page(pages::index))
        .route(json::METRICS, page(pages::metrics))
        .route(HEALTHY, page(pages::healthy))
        .route(READY, page(pages::ready))
        .route(json::status::PATH, page(pages::status))
        .route(json::scrape::PATH, page(pages::scrape_targets))
        .route(json::reload::PATH, action(site, reload::reload))
        .route(json::PURGE, action(site, actions::purge))
        .route(json::shared::PATH, page(shared::page))
        .route(json::spool::PATH, page(spool::page))
        .route(json::spool::PURGE, action(site, spool::purge))
        .route(json::spool::REPLAY, action(site, spool::replay))
        .merge(letters)
        .fallback(page(not_found))
        // Outermost: a request that is refused here learns nothing else, not even whether its path exists.
        .layer(from_fn_with_state(site.clone(), admit))
        .with_state(site.clone())
}

/// A page that everybody may read.
fn page<H: Handler<T, SharedSite>, T: 'static>(handler: H) -> Handlers {
    any(only_get).get(handler)
}

/// The contents of a dead letter; the guard checks each request.
fn contents(site: &SharedSite, handlers: Handlers) -> Handlers {
    any(only_get).merge(guarded(site, Access::Read, handlers))
}

/// An action that changes state; the guard checks each request.
fn action<H: Handler<T, SharedSite>, T: 'static>(site: &SharedSite, handler: H) -> Handlers {
    any(only_post).merge(guarded(site, Access::Change, post(handler)))
}

/// Puts the guard before the handlers; a request with a wrong method gets its 405 without a check by the guard.
fn guarded(site: &SharedSite, access: Access, handlers: Handlers) -> Handlers {
    handlers.route_layer(from_fn_with_state((site.clone(), access), check_access))
}

async fn only_get() -> impl IntoResponse {
    let allow = [(ALLOW, "GET, HEAD")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET and HEAD\n")
}

async fn only_post() -> impl IntoResponse {
    let allow = [(ALLOW, "POST")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "only POST\n")
}

async fn not_found() -> impl IntoResponse {
    let text = "not found; see / for what there is\n";
    (StatusCode::NOT_FOUND, text)
}

/// Whether a path is for probes and scrapers. Such a path is served under any host name and at any load.
fn is_essential(path: &str) -> bool {
    path == json::METRICS || path.starts_with("/-/") && path != json::reload::PATH
}

/// Whether a path is for the probes of a cluster, which have no client certificate.
fn is_health_check(path: &str) -> bool {
    [HEALTHY, READY].contains(&path)
}

/// Refuses requests without a required client certificate, requests on an extra connection and requests whose host does
/// not pass. Health checks are always served, other essential paths with the certificate.
async fn admit(
    State(SharedSite(site)): State<SharedSite>,
    Extension(connection): Extension<ConnectionInfo>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if !is_health_check(path)
        && let Err(refusal) = site.guard.check_certificate(connection.has_certificate)
    {
        return refusal.response();
    }
    if is_essential(path) {
        return next.run(request).await;
    }
    if connection.is_extra {
        let text = "all connections of the admin listener are in use: only /-/ and /metrics are served; try again";
        return Failure::for_now(text).into_response();
    }
    let (head, body) = request.into_parts();
    match site.hosts.check(&head) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(misdirected) => misdirected.response(),
    }
}

/// Refuses requests that the guard does not allow.
async fn check_access(
    State((SharedSite(site), access)): State<(SharedSite, Access)>,
    Extension(connection): Extension<ConnectionInfo>,
    request: Request,
    next: Next,
) -> Response {
    match site.guard.check(access, connection.peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.response(),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::fixture::Rig;

    #[tokio::test]
    async fn without_a_required_certificate_only_health_is_answered() {
        let rig = Rig::new(Vec::new());
        let status = async |method, path| rig.ask(method, path).await;
        assert_eq!(
            status(Method::GET, json::status::PATH).await.0,
            StatusCode::OK
        );
        rig.site.guard.set_needs_certificate(true);
        for path in ["/-/healthy", "/-/ready"] {
            assert_eq!(status(Method::GET, path).await.0, StatusCode::OK, "{path}");
        }
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/metrics"),
            (Method::GET, json::status::PATH),
            (Method::GET, "/no/such/page"),
            (Method::GET, "/-/healthy/"),
            (Method::POST, "/-/reload"),
        ] {
            let (code, body) = status(method, path).await;
            assert_eq!(code, StatusCode::FORBIDDEN, "{path}");
            let text = body["error"].as_str().unwrap_or_default();
            assert!(text.contains("admin-tls.client-ca-file"), "{path}: {text}");
        }
        assert!(rig.calls().is_empty());
        rig.site.guard.set_needs_certificate(false);
        assert_eq!(status(Method::GET, "/metrics").await.0, StatusCode::OK);
    }
}
