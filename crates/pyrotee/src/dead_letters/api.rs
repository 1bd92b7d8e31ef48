//! What is asked of the dead letters, and what they say: the same for a running relay, which speaks it as
//! JSON, and for a directory. A reader must take fields that it does not know.

use serde::{Deserialize, Serialize};

use super::store::{Error, Id, Letter, Store};

/// `GET`: a [`Page`]. `GET` with `/ID` behind it: what is [`Shown`] of one. `POST` with `/ID/request`:
/// its captured request.
pub(crate) const PATH: &str = "/api/v1/dead-letters";
/// `POST` an [`Order`]: answered with what was [`Done`].
pub(crate) const REPLAY: &str = "/api/v1/dead-letters/replay";
/// The same.
pub(crate) const PURGE: &str = "/api/v1/dead-letters/purge";

/// Letters of one page, at most.
pub(crate) const MOST_LETTERS: usize = 1_000;
/// Ids of one order, at most.
pub(crate) const MOST_IDS: usize = 1_000;

/// Which letters are wanted, the youngest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) target: Option<String>,
    /// Only those that are older than this one.
    pub(crate) before: Option<Id>,
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Page {
    /// The youngest first.
    pub(crate) letters: Vec<Letter>,
    /// Letters of the target, or all of them, whatever the page holds.
    pub(crate) total: u64,
    /// What all letters take of the disk.
    pub(crate) bytes: u64,
    /// What they may take; `null` where nobody keeps a limit.
    pub(crate) limit_bytes: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) letter: Letter,
    /// The lines of the captured request's head.
    pub(crate) head: Vec<String>,
    /// Length of its body.
    pub(crate) body_bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) ids: Vec<String>,
    /// Another target than the letter's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
}

/// What became of each id of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) done: Vec<String>,
    /// There was no room or no time: ask again for these.
    pub(crate) left: Vec<String>,
    pub(crate) failed: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) id: String,
    pub(crate) error: String,
}

impl Page {
    pub(crate) fn of(store: &Store, wanted: &Wanted) -> Self {
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

/// What is known of a letter; of a damaged one, that it is. `None`: it went meanwhile.
fn known(store: &Store, id: &Id) -> Option<Letter> {
    match store.letter(id) {
        Ok(letter) => Some(letter),
        Err(Error::Gone(_)) => None,
        Err(error) => Some(Letter::unreadable(id, &error.to_string())),
    }
}

impl Shown {
    pub(crate) fn of(store: &Store, id: &Id) -> Result<Self, Error> {
        let request = store.request(id)?;
        let end = request.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or_else(|| Error::Damaged {
            id: id.clone(),
            why: "the head of its request does not end".to_owned(),
        })?;
        let (head, rest) = request.split_at_checked(end).unwrap_or_default();
        Ok(Self {
            letter: store.letter(id).or_else(|error| match error {
                Error::Damaged { .. } => Ok(Letter::unreadable(id, &error.to_string())),
                error => Err(error),
            })?,
            head: String::from_utf8_lossy(head)
                .split("\r\n")
                .map(str::to_owned)
                .collect(),
            body_bytes: rest.len().saturating_sub(4) as u64,
        })
    }
}

impl Done {
    /// Removes letters.
    pub(crate) fn purged(store: &Store, ids: &[String]) -> Self {
        let mut done = Self::default();
        for id in ids {
            done.note(id, id.parse::<Id>().and_then(|id| store.remove(&id)));
        }
        done
    }

    /// What became of one.
    pub(crate) fn note(&mut self, id: &str, result: Result<(), impl Into<anyhow::Error>>) {
        match result {
            Ok(()) => self.done.push(id.to_owned()),
            Err(error) => self.failed.push(Failure {
                id: id.to_owned(),
                error: format!("{:#}", error.into()),
            }),
        }
    }
}
