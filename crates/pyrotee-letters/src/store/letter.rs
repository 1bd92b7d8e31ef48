//! The description of a letter: which profile was refused, by which target, and why.

use std::time::SystemTime;

use pyroscope_wire::encoding::{Coding, Encoding};
use pyroscope_wire::{Message, Surface, ingest};
use pyrotee_queue::Record;
use serde::{Deserialize, Serialize};

use super::Id;

/// Longest message that is unpacked to read the name of the application, in bytes.
const LOOKED_AT: u64 = 4 * 1024 * 1024;

/// Longest name of an application that is kept, in characters.
const LONGEST_APP: usize = 256;

/// Why a record became a dead letter.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The name of the target.
    pub target: String,
    /// The reason in one word: see [`Letter::reason`].
    pub reason: &'static str,
    /// Failed uploads that count against the record.
    pub tries: u32,
    /// Status of the last response; `None` if there was no response.
    pub status: Option<u16>,
    /// Body of the last response or the error, in one line.
    pub answer: String,
}

/// The `.json` file of a letter, which describes the refused profile. Readers must ignore fields that they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    pub id: String,
    /// Name of the target for which the profile was queued.
    pub target: String,
    /// `ingest`, `push` or `otlp`.
    pub surface: String,
    /// The name of the application; `None` if it could not be read.
    pub app: Option<String>,
    pub received: String,
    pub rejected: String,
    /// `rejected` or `partially_rejected` by the target; `undecodable` or `too_large` for pyrotee itself.
    pub reason: String,
    /// Failed uploads that count against the record, since the start of the relay.
    pub tries: u32,
    /// Status of the last response; `None` if there was no response.
    pub status: Option<u16>,
    /// Body of the target's last response or the error, in one line.
    pub answer: String,
    /// Length of the captured body.
    pub bytes: u64,
}

impl Letter {
    pub(super) fn new(number: u64, record: &Record, cause: &Cause, at: SystemTime) -> Self {
        let head = record.head();
        let target = cause.target.clone();
        let id = Id { number, at, target };
        let surface = Surface::from_id(head.surface.0);
        Self {
            id: id.to_string(),
            target: id.target,
            surface: surface.map_or("unknown", Surface::name).to_owned(),
            app: surface
                .and_then(|surface| app(surface, record))
                .map(|app| app.chars().take(LONGEST_APP).collect()),
            received: time(head.received),
            rejected: time(at),
            reason: cause.reason.to_owned(),
            tries: cause.tries,
            status: cause.status,
            answer: cause.answer.clone(),
            bytes: record.len(),
        }
    }

    /// The description of a letter whose `.json` file cannot be read. `why` becomes its `answer`.
    pub fn unreadable(id: &Id, why: &str) -> Self {
        Self {
            id: id.to_string(),
            target: id.target.clone(),
            surface: "unknown".to_owned(),
            app: None,
            received: time(id.at),
            rejected: time(id.at),
            reason: "unknown".to_owned(),
            tries: 0,
            status: None,
            answer: why.to_owned(),
            bytes: 0,
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let json = serde_json::to_vec_pretty(self);
        let mut json = json.expect("a tree of texts and numbers is writable as JSON");
        json.push(b'\n');
        json
    }

    pub(super) fn from_json(id: &Id, json: &[u8]) -> serde_json::Result<Self> {
        let read: Self = serde_json::from_slice(json)?;
        // The file name is authoritative, because the letter is found by it.
        Ok(Self {
            id: id.to_string(),
            target: id.target.clone(),
            ..read
        })
    }
}

/// A time in RFC 3339, with milliseconds.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// The name of the application; `None` if it cannot be read, or only at too high a cost.
fn app(surface: Surface, record: &Record) -> Option<String> {
    let head = record.head();
    if surface == Surface::Ingest {
        let content_type = head.content_type.as_deref();
        let content_type = content_type.and_then(|value| str::from_utf8(value).ok());
        let app = ingest::describe(&head.query, content_type).app;
        return Some(app).filter(|app| !app.is_empty());
    }
    let encoding = Encoding::of(surface, head.content_type.as_deref())?;
    let coding = Coding::of(head.content_encoding.as_deref()).ok()?;
    // The workspace is held while the message is unpacked.
    let most = record.budget().largest_workspace().min(LOOKED_AT);
    let _workspace = record.budget().try_workspace(most)?;
    let most = usize::try_from(most).ok()?;
    let message = Message::read(encoding, coding, record.body().frames(), most).ok()?;
    message.describe().ok().map(|description| description.app)
}
