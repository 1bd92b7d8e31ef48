//! The pages and actions of the dead letters.

mod file_body;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, FromRequestParts, Path};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, RequestPartsExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use pyrotee_letters::{Error, Id};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::json::chain;
use crate::json::dead_letters::{BatchRequest, MOST_IDS, MOST_LETTERS, PageQuery};
use crate::query::Query;
use crate::response::{Failure, RequestTimeout, json, json_line};

pub use service::LetterService;
pub(crate) use service::OpenLetters;
use service::{ShowError, TargetError};

/// Letters of a page, unless the query has `limit`.
const LETTERS: usize = 100;

/// Longest body of an order, in bytes: more than [`MOST_IDS`] ids take.
const LONGEST_ORDER: usize = 256 * 1024;

/// How long the body of an order may take to arrive.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the download of a captured request may take, from the end of the request's head to the last byte.
const FILE_TIMEOUT: RequestTimeout = RequestTimeout(Duration::from_secs(600));

const REQUEST: &str = "application/octet-stream";

impl<S: Send + Sync> FromRequestParts<S> for OpenLetters
where
    Option<Arc<LetterService>>: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(_head: &mut Parts, state: &S) -> Result<Self, Failure> {
        let letters = Option::<Arc<LetterService>>::from_ref(state).ok_or_else(|| {
            let text = "dead letters are off: set dead-letters.dir and configure targets";
            Failure::new(StatusCode::NOT_FOUND, text)
        })?;
        let opened = letters.open();
        opened.map_err(|not_open| Failure::for_now(not_open.to_string()))
    }
}

/// The id of a letter, from the path. A path with more parts than the routes of a letter is refused as an id.
pub(crate) struct LetterId(Id);

impl<S: Send + Sync> FromRequestParts<S> for LetterId {
    type Rejection = Failure;

    async fn from_request_parts(head: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let path = head.extract::<Path<Vec<String>>>().await;
        let Path(parts) = path.map_err(|fault| Failure::new(fault.status(), fault.body_text()))?;
        Ok(Self(parts.join("/").parse()?))
    }
}

/// Serves a page of the list of dead letters.
pub(crate) async fn list(letters: OpenLetters, query: Query) -> Result<Response, Failure> {
    let [target, before, limit] = query.first(["target", "before", "limit"]);
    let before = before.map(|before| before.parse::<Id>()).transpose()?;
    let limit = limit.map(|limit| limit.parse::<usize>()).transpose();
    let limit = limit.map_err(|_| {
        let text = format!("limit is not a number; write a number up to {MOST_LETTERS}");
        Failure::new(StatusCode::BAD_REQUEST, text)
    })?;
    let wanted = PageQuery {
        target,
        before,
        limit: limit.unwrap_or(LETTERS),
    };
    Ok(json_line(letters.page(wanted).await?))
}

/// Serves the details of one letter. The guard checks the request, because a profile names functions of a program.
pub(crate) async fn show(
    letters: OpenLetters,
    LetterId(id): LetterId,
) -> Result<Response, Failure> {
    Ok(json_line(letters.show(id).await?))
}

/// Serves the captured request of one letter.
pub(crate) async fn request(
    letters: OpenLetters,
    LetterId(id): LetterId,
) -> Result<Response, Failure> {
    let file = Body::new(letters.request(id).await?);
    Ok((Extension(FILE_TIMEOUT), [(CONTENT_TYPE, REQUEST)], file).into_response())
}

pub(crate) async fn replay(letters: OpenLetters, body: Body) -> Result<Response, Failure> {
    let (order, _place) = take_order(&letters, body).await?;
    Ok(json(&letters.replay(&order).await?))
}

pub(crate) async fn purge(letters: OpenLetters, body: Body) -> Result<Response, Failure> {
    let (order, _place) = take_order(&letters, body).await?;
    Ok(json(&letters.purge(order).await))
}

/// Reads an order, and returns a place that the request holds until its response. The number of places bounds the
/// orders in memory.
async fn take_order(
    letters: &OpenLetters,
    body: Body,
) -> Result<(BatchRequest, OwnedSemaphorePermit), Failure> {
    let Some(place) = letters.order_place().await else {
        return Err(Failure::for_now("too many changes at once: try again"));
    };
    Ok((read_order(body).await?, place))
}

async fn read_order(body: Body) -> Result<BatchRequest, Failure> {
    let body = timeout(ORDER_TIMEOUT, to_bytes(body, LONGEST_ORDER)).await;
    let body = body.map_err(|_| {
        let text = "the order did not arrive in time";
        Failure::new(StatusCode::REQUEST_TIMEOUT, text)
    })?;
    let body = body.map_err(|_| {
        let text = format!("the order is too long: {MOST_IDS} ids at most, then another order");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    })?;
    let order = serde_json::from_slice::<BatchRequest>(&body).map_err(|fault| {
        let text = format!("not an order: {fault}; write {{\"ids\": [\"…\"]}}");
        Failure::new(StatusCode::BAD_REQUEST, text)
    })?;
    if order.ids.len() > MOST_IDS {
        let text = format!("{MOST_IDS} ids at most, then another order");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    Ok(order)
}

impl From<ShowError> for Failure {
    fn from(error: ShowError) -> Self {
        match error {
            ShowError::Letter(error) => error.into(),
            ShowError::Busy => Self::for_now("too many readers at once: try again"),
            ShowError::Memory => Self::for_now(
                "memory-limit is reached: try again, or read the file on the relay's machine",
            ),
        }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        let status = match error {
            TargetError::Unknown { .. } => StatusCode::NOT_FOUND,
            TargetError::Draining { .. } => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NoId(_) => StatusCode::BAD_REQUEST,
            Error::Gone(_) => StatusCode::NOT_FOUND,
            Error::Damaged { .. } => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, chain(&error))
    }
}
