//! The JSON of a spool: one type for the commands and for `GET /api/v1/spool`.
//!
//! `docs/spool.md` describes every field; a test checks this. A reader must accept unknown fields, because the reader
//! may be older than the relay.

use std::time::SystemTime;

use pyrotee_queue::Tally;
use pyrotee_segments::inspect::{FORMAT_VERSION, Membership, Survey, TargetSurvey};
use pyrotee_spool::ReplayState;
use serde::{Deserialize, Serialize};

use super::{Amount, VERSION, line, seconds, time};

/// Path of the [`SpoolPage`].
pub const PATH: &str = "/api/v1/spool";

/// `POST` with `?what=removed` deletes the records of removed targets, with `&target=NAME` those of one removed target.
/// `POST` with `?what=quarantined` deletes the damaged segments in quarantine. The response is a list of [`Purged`].
pub const PURGE: &str = "/api/v1/spool/purge";

/// `POST` with `?from=OLD&to=NEW` starts to move the records of the removed target OLD to the target NEW. The response
/// is the [`ReplayProgress`] at the start.
pub const REPLAY: &str = "/api/v1/spool/replay";

/// A spool at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpoolPage {
    pub version: String,
    pub time: String,
    pub dir: String,
    pub format: u32,
    pub state: String,
    /// At most one profile is delivered at a time; `false` from an older relay without this field.
    #[serde(default)]
    pub careful: bool,
    /// `None` once the spool is open, for files read by a command, and from an older relay without this field.
    #[serde(default)]
    pub opening: Option<OpeningJson>,
    pub segments: u64,
    pub bytes: u64,
    pub max_bytes: Option<u64>,
    pub quarantined: Quarantined,
    pub damages: u64,
    pub foreign: Vec<String>,
    pub targets: Vec<TargetBacklog>,
    pub replay: Option<ReplayProgress>,
}

/// Why or how far a spool is not open yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpeningJson {
    /// Why the spool cannot be opened, and what to do; `None` while its segments are being read.
    pub reason: Option<String>,
    pub waiting_seconds: Option<f64>,
    pub read_bytes: u64,
    pub total_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    pub files: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetBacklog {
    pub name: String,
    pub state: String,
    pub pending: Amount,
    pub oldest_pending_age_seconds: Option<f64>,
    pub in_flight: u64,
}

/// Progress of the current or last replay from a removed target to another target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayProgress {
    pub from: String,
    pub to: String,
    pub state: String,
    pub replayed: Amount,
    pub left: u64,
    pub error: Option<String>,
}

/// The records or files that one purge deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Purged {
    /// A target, or `quarantined`.
    pub what: String,
    pub profiles: Option<u64>,
    pub files: Option<u64>,
    pub bytes: u64,
}

impl Purged {
    /// The purged records of a target.
    pub fn of((target, lost): (String, Tally)) -> Self {
        Self {
            what: target,
            profiles: Some(lost.profiles),
            files: None,
            bytes: lost.bytes,
        }
    }

    /// Deleted segments of the quarantine; `deleted.profiles` is the number of files.
    pub fn files(deleted: Tally) -> Self {
        Self {
            what: "quarantined".to_owned(),
            profiles: None,
            files: Some(deleted.profiles),
            bytes: deleted.bytes,
        }
    }
}

/// All values of [`SpoolPage::state`].
pub const STATES: [&str; 7] = [
    IN_USE,
    WAITING,
    SCANNING,
    MEMORY_ONLY,
    READ_ERRORS,
    "closed",
    "unclean",
];

/// The state of a spool that a process uses.
pub const IN_USE: &str = "in_use";

/// The state of a spool that the relay cannot open yet.
pub const WAITING: &str = "waiting";

/// The state of a spool whose segments the relay reads before it uses them.
pub const SCANNING: &str = "scanning";

/// The state of a spool whose disk is in trouble while the relay runs: new records stay in memory.
pub const MEMORY_ONLY: &str = "memory_only";

/// The state of a spool in use whose disk fails to return some segments.
pub const READ_ERRORS: &str = "read_errors";

impl SpoolPage {
    /// The page of a survey; without a replay, and neither careful nor opening.
    pub fn of(dir: String, survey: Survey, max_bytes: Option<u64>) -> Self {
        let [in_use, .., closed, unclean] = STATES;
        let state = match (survey.in_use, survey.clean) {
            (true, _) => in_use,
            (false, true) => closed,
            (false, false) => unclean,
        };
        let now = SystemTime::now();
        let target = |it: TargetSurvey| TargetBacklog {
            name: it.name,
            state: match it.membership {
                Membership::Configured => "configured",
                Membership::Removed => "removed",
            }
            .to_owned(),
            pending: it.pending.into(),
            oldest_pending_age_seconds: it
                .oldest
                .map(|oldest| seconds(now.duration_since(oldest).unwrap_or_default())),
            in_flight: it.in_flight,
        };
        Self {
            version: VERSION.to_owned(),
            time: time(now),
            dir,
            format: FORMAT_VERSION,
            state: state.to_owned(),
            careful: false,
            opening: None,
            segments: survey.segments,
            bytes: survey.bytes,
            max_bytes,
            quarantined: Quarantined {
                files: survey.quarantined,
                bytes: survey.quarantined_bytes,
            },
            damages: survey.damages,
            foreign: survey.foreign,
            targets: survey.targets.into_iter().map(target).collect(),
            replay: None,
        }
    }

    /// The page as one line of JSON.
    pub fn json(&self) -> String {
        line(self)
    }
}

impl From<pyrotee_spool::ReplayProgress> for ReplayProgress {
    fn from(replay: pyrotee_spool::ReplayProgress) -> Self {
        let (state, error) = match replay.state {
            ReplayState::Running => ("running", None),
            ReplayState::Done => ("done", None),
            ReplayState::Stopped(why) => ("stopped", Some(why)),
        };
        Self {
            from: replay.from,
            to: replay.to,
            state: state.to_owned(),
            replayed: replay.replayed.into(),
            left: replay.left,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::UNIX_EPOCH;

    use serde_json::Value;

    use super::*;
    use crate::json::fields;

    const DOCUMENTATION: &str = include_str!("../../../../docs/spool.md");

    /// A page with a value in every field.
    fn eventful() -> SpoolPage {
        let target = TargetSurvey {
            name: "old".to_owned(),
            membership: Membership::Removed,
            pending: Tally::default(),
            oldest: Some(UNIX_EPOCH),
            in_flight: 1,
        };
        let survey = Survey {
            foreign: vec!["notes.txt".to_owned()],
            targets: vec![target],
            ..Survey::default()
        };
        let replay = pyrotee_spool::ReplayProgress {
            from: "old".to_owned(),
            to: "new".to_owned(),
            state: ReplayState::Stopped("the spool is full".to_owned()),
            replayed: Tally::default(),
            left: 1,
        };
        SpoolPage {
            replay: Some(replay.into()),
            opening: Some(OpeningJson {
                reason: Some("it is locked".to_owned()),
                waiting_seconds: Some(1.5),
                read_bytes: 0,
                total_bytes: 0,
            }),
            ..SpoolPage::of("/spool".to_owned(), survey, Some(1))
        }
    }

    #[test]
    fn the_documentation_lists_every_field_and_no_other() {
        let shown = fields::of(&serde_json::to_value(eventful()).unwrap(), None);
        let (_, table) = DOCUMENTATION.split_once("### What stats tell").unwrap();
        let (table, _) = table.split_once("\n### ").unwrap();
        let documented: BTreeSet<_> = fields::documented(table).map(str::to_owned).collect();
        assert_eq!(documented, shown);
    }

    #[test]
    fn the_documentation_explains_every_state() {
        let (_, row) = DOCUMENTATION.split_once("\n| `state` | ").unwrap();
        let row = row.lines().next().unwrap();
        for state in STATES {
            assert!(row.contains(&format!("`{state}`")), "{state}");
        }
    }

    #[test]
    fn a_reader_takes_what_a_relay_writes() {
        let page = eventful();
        let mut json: Value = serde_json::from_str(&page.json()).unwrap();
        json["of a later version"] = 1.into();
        assert_eq!(serde_json::from_value::<SpoolPage>(json).unwrap(), page);
    }
}
