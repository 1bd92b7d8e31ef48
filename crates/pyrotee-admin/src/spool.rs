//! The spool, for those who ask the relay about it.

use std::path::PathBuf;

use http::{Response, StatusCode};
use pyroscope_wire::query;
use pyrotee_spool::{Control, Mode, Monitor, Opening, ReplayError};

use crate::body::Body;
use crate::json::spool::{
    IN_USE, MEMORY_ONLY, OpeningJson, Purged, READ_ERRORS, ReplayProgress, SCANNING, SpoolPage,
    WAITING,
};
use crate::json::{line, seconds};
use crate::page_copies::PageCopies;
use crate::response::{JSON, error, json, page as page_response};

/// A spool that is open.
#[derive(Debug, Clone)]
pub struct OpenSpool {
    pub dir: PathBuf,
    pub monitor: Monitor,
    pub control: Control,
}

const NONE: &str = "this relay has no spool: its configuration does not set spool.dir";

/// What waits, and for whom.
pub(super) fn page(spool: Option<&OpenSpool>, copies: &PageCopies) -> Response<Body> {
    let Some(spool) = spool else {
        return error(StatusCode::NOT_FOUND, NONE);
    };
    page_response(JSON, copies, || line(&survey(spool)))
}

fn survey(spool: &OpenSpool) -> SpoolPage {
    let stats = spool.monitor.stats();
    let dir = spool.dir.display().to_string();
    let mut page = SpoolPage::of(dir, spool.monitor.survey(), Some(stats.max_bytes));
    page.careful = stats.careful;
    match spool.monitor.mode() {
        Mode::Disk => {}
        Mode::Waiting => {
            let (state, opening) = opening(spool.monitor.opening());
            state.clone_into(&mut page.state);
            page.opening = opening;
        }
        Mode::MemoryOnly => MEMORY_ONLY.clone_into(&mut page.state),
        Mode::ReadErrors => READ_ERRORS.clone_into(&mut page.state),
    }
    page.replay = spool.control.progress().map(ReplayProgress::from);
    page
}

/// The state of a spool that is not open, and what is known of it.
fn opening(opening: Opening) -> (&'static str, Option<OpeningJson>) {
    match opening {
        Opening::Waiting { reason, since } => {
            let opening = OpeningJson {
                reason: Some(reason),
                waiting_seconds: Some(seconds(since.elapsed())),
                read_bytes: 0,
                total_bytes: 0,
            };
            (WAITING, Some(opening))
        }
        Opening::Scanning { read, of } => {
            let opening = OpeningJson {
                reason: None,
                waiting_seconds: None,
                read_bytes: read,
                total_bytes: of,
            };
            (SCANNING, Some(opening))
        }
        // It was opened just now.
        Opening::Open => (IN_USE, None),
    }
}

/// Loses what the query names.
pub(super) async fn purge(spool: Option<&OpenSpool>, raw_query: &str) -> Response<Body> {
    let Some(spool) = spool else {
        return error(StatusCode::NOT_FOUND, NONE);
    };
    let [what, target] = query::first(raw_query, ["what", "target"]);
    let what = what.map(|what| what.decode()).unwrap_or_default();
    let target = target.map(|target| target.decode().into_owned());
    match &*what {
        "removed" => match spool.control.purge_removed(target.as_deref()) {
            Ok(lost) => {
                let lost: Vec<_> = lost.into_iter().map(Purged::of).collect();
                json(StatusCode::OK, &lost)
            }
            Err(not_open) => error(StatusCode::SERVICE_UNAVAILABLE, &not_open.to_string()),
        },
        "quarantined" => {
            let control = spool.control.clone();
            let deleted = tokio::task::spawn_blocking(move || control.purge_quarantined()).await;
            match deleted {
                Ok(Ok(deleted)) => json(StatusCode::OK, &[Purged::files(deleted)]),
                Ok(Err(failed)) => internal(&failed),
                Err(failed) => internal(&failed),
            }
        }
        _ => error(
            StatusCode::BAD_REQUEST,
            "write ?what=removed, with &target=NAME for one of them, or ?what=quarantined",
        ),
    }
}

fn internal(failed: &dyn std::error::Error) -> Response<Body> {
    let text = format!("failed to delete damaged segments: {failed}");
    error(StatusCode::INTERNAL_SERVER_ERROR, &text)
}

/// Hands what a removed target left to another one.
pub(super) fn replay(spool: Option<&OpenSpool>, raw_query: &str) -> Response<Body> {
    let Some(spool) = spool else {
        return error(StatusCode::NOT_FOUND, NONE);
    };
    let names = query::first(raw_query, ["from", "to"]);
    let [Some(from), Some(to)] = names.map(|name| name.map(|name| name.decode())) else {
        return error(StatusCode::BAD_REQUEST, "write ?from=OLD&to=NEW");
    };
    match spool.control.replay(&from, &to) {
        Ok(begun) => json(StatusCode::OK, &ReplayProgress::from(begun)),
        Err(refused) => {
            let status = match refused {
                ReplayError::Running { .. } | ReplayError::Configured { .. } => {
                    StatusCode::CONFLICT
                }
                ReplayError::UnknownFrom { .. } | ReplayError::UnknownTo { .. } => {
                    StatusCode::NOT_FOUND
                }
                ReplayError::NotOpen => StatusCode::SERVICE_UNAVAILABLE,
                ReplayError::Thread(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            error(status, &refused.to_string())
        }
    }
}
