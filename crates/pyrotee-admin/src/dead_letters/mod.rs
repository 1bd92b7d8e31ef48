//! The pages and actions of the dead letters.

mod file_body;
mod service;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use pyroscope_wire::query;
use pyrotee_letters::{Error, Id};
use tokio::time::timeout;

use crate::Site;
use crate::body::Body;
use crate::guard::Access;
use crate::json::chain;
use crate::json::dead_letters::{BatchRequest, MOST_IDS, MOST_LETTERS, PATH, PageQuery};
use crate::response::{RequestTimeout, error, json, json_line, not_allowed, respond, unavailable};

pub use service::LetterService;
use service::{OpenLetters, ShowError};

/// Letters of a page, unless another number is asked for.
const LETTERS: usize = 100;

/// Longest order: the ids that it may have, and more.
const LONGEST_ORDER: usize = 256 * 1024;

/// How long one may take to arrive.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a captured request may take, from its request to its last byte.
const FILE_TIMEOUT: RequestTimeout = RequestTimeout(Duration::from_secs(600));

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
) -> Response<Body> {
    let Some(letters) = &site.dead_letters else {
        let text = "dead letters are not kept here: set dead-letters.dir, and have targets";
        return error(StatusCode::NOT_FOUND, text);
    };
    let letters = match letters.open() {
        Ok(letters) => letters,
        Err(not_open) => return unavailable(&not_open.to_string()),
    };
    match rest {
        "" | "/" => match head.method {
            Method::GET | Method::HEAD => page(letters, head).await,
            _ => not_allowed("GET, HEAD", "only GET and HEAD\n"),
        },
        "/replay" | "/purge" => {
            if head.method != Method::POST {
                return not_allowed("POST", "only POST\n");
            }
            if let Err(refusal) = site.guard.check(Access::Change, peer, &head.headers) {
                return refusal.response();
            }
            let Some(_place) = letters.order_place().await else {
                return unavailable("others change dead letters: try again");
            };
            match order(body).await {
                Err((status, text)) => error(status, &text),
                Ok(order) if rest == "/replay" => {
                    json(StatusCode::OK, &letters.replay(&order).await)
                }
                Ok(order) => json(StatusCode::OK, &letters.purge(order).await),
            }
        }
        _ => contents(letters, rest.trim_start_matches('/'), head, peer, site).await,
    }
}

/// One letter: what is known of it, or with `/request` the captured request. A profile names functions of somebody's
/// program, which is more than the status tells.
async fn contents(
    letters: OpenLetters<'_>,
    rest: &str,
    head: &Parts,
    peer: IpAddr,
    site: &Site,
) -> Response<Body> {
    let of_request = rest.strip_suffix("/request");
    match head.method {
        Method::GET | Method::HEAD => {}
        // `pyrotee dead-letters show` asks so: older relays take nothing else.
        Method::POST if of_request.is_some() => {}
        _ => return not_allowed("GET, HEAD", "only GET and HEAD\n"),
    }
    if let Err(refusal) = site.guard.check(Access::Read, peer, &head.headers) {
        return refusal.response();
    }
    match of_request {
        Some(id) => request(letters, id).await,
        None => show(letters, rest).await,
    }
}

async fn page(letters: OpenLetters<'_>, head: &Parts) -> Response<Body> {
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
    line(letters.page(wanted).await)
}

async fn show(letters: OpenLetters<'_>, id: &str) -> Response<Body> {
    match id.parse::<Id>() {
        Ok(id) => line(letters.show(id).await),
        Err(fault) => refused(&fault),
    }
}

fn line(shown: Result<Bytes, ShowError>) -> Response<Body> {
    match shown {
        Ok(line) => json_line(StatusCode::OK, line),
        Err(fault) => not_shown(&fault),
    }
}

async fn request(letters: OpenLetters<'_>, id: &str) -> Response<Body> {
    let request = match id.parse::<Id>() {
        Ok(id) => letters.request(id).await,
        Err(fault) => Err(ShowError::Letter(fault)),
    };
    match request {
        Ok(request) => {
            let mut response = respond(StatusCode::OK, REQUEST, request.boxed_unsync());
            response.extensions_mut().insert(FILE_TIMEOUT);
            response
        }
        Err(fault) => not_shown(&fault),
    }
}

fn not_shown(fault: &ShowError) -> Response<Body> {
    match fault {
        ShowError::Letter(fault) => refused(fault),
        ShowError::Busy => unavailable("others are reading dead letters: try again"),
        ShowError::Memory => unavailable(
            "memory-limit is reached: try again, or read the file on the relay's machine",
        ),
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

fn refused(fault: &Error) -> Response<Body> {
    let status = match fault {
        Error::NoId(_) => StatusCode::BAD_REQUEST,
        Error::Gone(_) => StatusCode::NOT_FOUND,
        Error::Damaged { .. } => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, &chain(fault))
}
