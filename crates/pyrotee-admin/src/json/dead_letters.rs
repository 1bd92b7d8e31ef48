//! Requests and responses for dead letters. The commands use these types for a running relay, as JSON, and for a
//! directory. A reader must accept unknown fields.

use std::error::Error as StdError;

use pyrotee_letters::{Error, Id, Letter, Store};
use serde::{Deserialize, Serialize};

use super::chain;

/// `GET` returns a [`LetterPage`]. `GET` of `/ID` below it returns the [`LetterDetail`] of one letter; `GET` or `POST`
/// of `/ID/request` returns the captured request of the letter.
pub const PATH: &str = "/api/v1/dead-letters";
pub(crate) const PATH_SLASH: &str = "/api/v1/dead-letters/";
/// Routes of one letter, and of paths that name no letter because an id has no slash.
pub(crate) const LETTER: &str = "/api/v1/dead-letters/{id}";
pub(crate) const REQUEST: &str = "/api/v1/dead-letters/{id}/request";
pub(crate) const NO_LETTER: &str = "/api/v1/dead-letters/{id}/{*rest}";
/// `POST` a [`BatchRequest`] to replay letters; the response is a [`BatchResult`].
pub const REPLAY: &str = "/api/v1/dead-letters/replay";
/// `POST` a [`BatchRequest`] to delete letters; the response is a [`BatchResult`].
pub const PURGE: &str = "/api/v1/dead-letters/purge";

/// Letters of one page, at most.
pub const MOST_LETTERS: usize = 1_000;
/// Ids of one order, at most.
pub const MOST_IDS: usize = 1_000;

/// The query for a page of letters, the youngest first.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    pub target: Option<String>,
    /// Only letters that are older than this letter; `None` for all.
    pub before: Option<Id>,
    pub limit: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LetterPage {
    /// The youngest first.
    pub letters: Vec<Letter>,
    /// Number of all letters of the target, or of all targets, on this page and on others.
    pub total: u64,
    /// Bytes of all letters on disk.
    pub bytes: u64,
    /// Limit of these bytes; `null` if no limit is set.
    pub limit_bytes: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LetterDetail {
    pub letter: Letter,
    /// The lines of the captured request's head.
    pub head: Vec<String>,
    /// Length of the captured request's body.
    pub body_bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BatchRequest {
    pub ids: Vec<String>,
    /// The target that the letters are replayed to; `None` for each letter's own target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// The result for each id of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResult {
    pub done: Vec<String>,
    /// Ids that were not processed for lack of room or time: repeat the request for these.
    pub left: Vec<String>,
    pub failed: Vec<BatchFailure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchFailure {
    pub id: String,
    pub error: String,
}

impl LetterPage {
    pub fn of(store: &Store, wanted: &PageQuery) -> Self {
        let ids = store.ids(wanted.target.as_deref());
        let size = store.size();
        let older = |id: &&Id| wanted.before.as_ref().is_none_or(|before| *id < before);
        let letters = ids.iter().rev().filter(older);
        let letters = letters.take(wanted.limit.min(MOST_LETTERS));
        Self {
            letters: letters.filter_map(|id| known(store, id)).collect(),
            total: ids.len() as u64,
            bytes: size.bytes,
            limit_bytes: Some(size.max_bytes).filter(|limit| *limit < u64::MAX),
        }
    }
}

/// The metadata of a letter, or an entry that marks the letter as damaged; `None` if it was removed meanwhile.
fn known(store: &Store, id: &Id) -> Option<Letter> {
    match store.letter(id) {
        Ok(letter) => Some(letter),
        Err(Error::Gone(_)) => None,
        Err(error) => Some(Letter::unreadable(id, &error.to_string())),
    }
}

impl LetterDetail {
    pub fn of(store: &Store, id: &Id) -> Result<Self, Error> {
        let (head, body_bytes) = store.request_head(id)?;
        Ok(Self {
            letter: store.letter(id).or_else(|error| match error {
                Error::Damaged { .. } => Ok(Letter::unreadable(id, &error.to_string())),
                error => Err(error),
            })?,
            head: String::from_utf8_lossy(&head)
                .split("\r\n")
                .map(str::to_owned)
                .collect(),
            body_bytes,
        })
    }
}

impl BatchResult {
    /// Removes letters, and returns the result for each id.
    pub fn purged(store: &Store, ids: &[String]) -> Self {
        let mut done = Self::default();
        for id in ids {
            done.note(id, id.parse::<Id>().and_then(|id| store.remove(&id)));
        }
        done
    }

    /// Notes the result of one letter.
    pub fn note(
        &mut self,
        id: &str,
        result: Result<(), impl Into<Box<dyn StdError + Send + Sync>>>,
    ) {
        match result {
            Ok(()) => self.done.push(id.to_owned()),
            Err(error) => self.failed.push(BatchFailure {
                id: id.to_owned(),
                error: chain(&*error.into()),
            }),
        }
    }
}
