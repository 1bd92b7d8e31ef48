//! The pages and actions of the dead letters.

mod service;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use pyroscope_wire::query;
use pyrotee_letters::{Error, Id};
use tokio::time::timeout;

use crate::Site;
use crate::json::chain;
use crate::json::dead_letters::{BatchRequest, MOST_IDS, MOST_LETTERS, PATH, PageQuery};
use crate::response::{error, json, not_allowed, respond};

pub use service::LetterService;

/// Letters of a page, unless another number is asked for.
const LETTERS: usize = 100;

/// Longest order: the ids that it may have, and more.
const LONGEST_ORDER: usize = 256 * 1024;

/// How long one may take to arrive.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

const REQUEST: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What a path says behind that of the dead letters, if it is theirs.
pub(crate) fn rest_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PATH)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Answers a request for one of their pages or actions.
pub(crate) async fn respond_to(
    rest: &str,
    head: &Parts,
    body: Incoming,
    peer: IpAddr,
    site: &Site,
) -> Response<Full<Bytes>> {
    let Some(letters) = &site.dead_letters else {
        let text = "dead letters are not kept here: set dead-letters.dir, and have targets";
        return error(StatusCode::NOT_FOUND, text);
    };
    // A profile names functions of somebody's program, which is more than the status tells. A POST, as
    // commands show their token with nothing else.
    let wants_request = rest
        .strip_prefix('/')
        .and_then(|it| it.strip_suffix("/request"));
    let is_guarded = wants_request.is_some() || matches!(rest, "/replay" | "/purge");
    if !is_guarded {
        return match (&head.method, rest) {
            (&Method::GET | &Method::HEAD, "" | "/") => page(letters, head).await,
            (&Method::GET | &Method::HEAD, id) => show(letters, id.trim_start_matches('/')).await,
            _ => not_allowed("GET, HEAD", "only GET and HEAD\n"),
        };
    }
    if head.method != Method::POST {
        return not_allowed("POST", "only POST\n");
    }
    if let Err(refusal) = site.guard.check(peer, &head.headers) {
        return refusal.response();
    }
    if let Some(id) = wants_request {
        return request(letters, id).await;
    }
    match order(body).await {
        Err((status, text)) => error(status, &text),
        Ok(order) if rest == "/replay" => json(StatusCode::OK, &letters.replay(&order).await),
        Ok(order) => json(StatusCode::OK, &letters.purge(order).await),
    }
}

async fn page(letters: &LetterService, head: &Parts) -> Response<Full<Bytes>> {
    let raw_query = head.uri.query().unwrap_or_default();
    let values = query::first(raw_query, ["target", "before", "limit"]);
    let [target, before, limit] = values.map(|value| value.map(|it| it.decode().into_owned()));
    let before = match before.map(|before| before.parse::<Id>()).transpose() {
        Ok(before) => before,
        Err(fault) => return refused(&fault),
    };
    let limit = match limit.map(|limit| limit.parse::<usize>()).transpose() {
        Ok(limit) => limit.unwrap_or(LETTERS),
        Err(_) => {
            let text = format!("limit is no number; write one up to {MOST_LETTERS}");
            return error(StatusCode::BAD_REQUEST, &text);
        }
    };
    let wanted = PageQuery {
        target,
        before,
        limit,
    };
    json(StatusCode::OK, &letters.page(wanted).await)
}

async fn show(letters: &LetterService, id: &str) -> Response<Full<Bytes>> {
    let shown = match id.parse::<Id>() {
        Ok(id) => letters.show(id).await,
        Err(fault) => Err(fault),
    };
    match shown {
        Ok(shown) => json(StatusCode::OK, &shown),
        Err(fault) => refused(&fault),
    }
}

async fn request(letters: &LetterService, id: &str) -> Response<Full<Bytes>> {
    let request = match id.parse::<Id>() {
        Ok(id) => letters.request(id).await,
        Err(fault) => Err(fault),
    };
    match request {
        Ok(Some(request)) => respond(StatusCode::OK, REQUEST, request),
        Ok(None) => {
            let text =
                "memory-limit is reached: try again, or read the file on the relay's machine";
            error(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Err(fault) => refused(&fault),
    }
}

/// Reads what is to be done.
async fn order(body: Incoming) -> Result<BatchRequest, (StatusCode, String)> {
    let refuse = |status, text: &str| Err((status, text.to_owned()));
    #[expect(clippy::disallowed_methods, reason = "it is limited")]
    let body = Limited::new(body, LONGEST_ORDER).collect();
    let Ok(body) = timeout(ORDER_TIMEOUT, body).await else {
        let text = "the order did not arrive in time";
        return refuse(StatusCode::REQUEST_TIMEOUT, text);
    };
    let Ok(body) = body else {
        let text = format!("the order is too long: {MOST_IDS} ids at most, then another order");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &text);
    };
    match serde_json::from_slice::<BatchRequest>(&body.to_bytes()) {
        Ok(order) if order.ids.len() > MOST_IDS => {
            let text = format!("{MOST_IDS} ids at most, then another order");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, &text)
        }
        Ok(order) => Ok(order),
        Err(fault) => {
            let text = format!("no order: {fault}; write {{\"ids\": [\"…\"]}}");
            refuse(StatusCode::BAD_REQUEST, &text)
        }
    }
}

fn refused(fault: &Error) -> Response<Full<Bytes>> {
    let status = match fault {
        Error::NoId(_) => StatusCode::BAD_REQUEST,
        Error::Gone(_) => StatusCode::NOT_FOUND,
        Error::Damaged { .. } => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, &chain(fault))
}
