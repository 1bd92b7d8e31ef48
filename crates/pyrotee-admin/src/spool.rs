//! The page and the actions of the spool.

use std::io;
use std::path::PathBuf;

use axum::response::Response;
use http::StatusCode;
use pyrotee_spool::{Control, Mode, Monitor, Opening, ReplayError};
use tokio::task::spawn_blocking;

use crate::json::spool::{
    IN_USE, MEMORY_ONLY, OpeningJson, Purged, READ_ERRORS, ReplayProgress, SCANNING, SpoolPage,
    WAITING,
};
use crate::json::{line, seconds};
use crate::query::Query;
use crate::response::{Failure, JSON, json, page as page_response};
use crate::routes::SharedSite;

/// The spool of the running relay, which may not be open yet, and the handles to observe and control it.
#[derive(Debug, Clone)]
pub struct OpenSpool {
    pub dir: PathBuf,
    pub monitor: Monitor,
    pub control: Control,
}

fn open(spool: Option<&OpenSpool>) -> Result<&OpenSpool, Failure> {
    let text = "this relay has no spool: its configuration does not set spool.dir";
    spool.ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, text))
}

/// Serves `/api/v1/spool`: the pending records of each target.
pub(crate) async fn page(site: SharedSite) -> Result<Response, Failure> {
    let spool = open(site.pages.spool.as_ref())?;
    let copies = &site.pages.copies.spool;
    Ok(page_response(JSON, copies, || line(&survey(spool))))
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

/// The state of a spool that is not open, with the reason or the progress of the opening.
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
        // The spool opened between the two reads.
        Opening::Open => (IN_USE, None),
    }
}

/// Deletes the records of removed targets (`?what=removed`, with `&target=NAME` for one of these targets), or the
/// damaged segments in quarantine (`?what=quarantined`).
pub(crate) async fn purge(site: SharedSite, query: Query) -> Result<Response, Failure> {
    let spool = open(site.actions.spool.as_ref())?;
    let [what, target] = query.first(["what", "target"]);
    match what.as_deref() {
        Some("removed") => {
            let lost = spool.control.purge_removed(target.as_deref());
            let lost = lost.map_err(|not_open| {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, not_open.to_string())
            })?;
            let lost: Vec<_> = lost.into_iter().map(Purged::of).collect();
            Ok(json(&lost))
        }
        Some("quarantined") => {
            let control = spool.control.clone();
            let deleted = spawn_blocking(move || control.purge_quarantined()).await;
            let deleted = deleted.map_err(io::Error::from).flatten();
            let deleted = deleted.map_err(|failed| {
                let text = format!("failed to delete damaged segments: {failed}");
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, text)
            })?;
            Ok(json(&[Purged::files(deleted)]))
        }
        _ => Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "write ?what=removed, with &target=NAME for one of them, or ?what=quarantined",
        )),
    }
}

/// Moves the records of a removed target to another target (`?from=OLD&to=NEW`).
pub(crate) async fn replay(site: SharedSite, query: Query) -> Result<Response, Failure> {
    let spool = open(site.actions.spool.as_ref())?;
    let [Some(from), Some(to)] = query.first(["from", "to"]) else {
        let text = "write ?from=OLD&to=NEW";
        return Err(Failure::new(StatusCode::BAD_REQUEST, text));
    };
    let begun = spool.control.replay(&from, &to)?;
    Ok(json(&ReplayProgress::from(begun)))
}

impl From<ReplayError> for Failure {
    fn from(refused: ReplayError) -> Self {
        let status = match refused {
            ReplayError::Running { .. } | ReplayError::Configured { .. } => StatusCode::CONFLICT,
            ReplayError::UnknownFrom { .. } | ReplayError::UnknownTo { .. } => {
                StatusCode::NOT_FOUND
            }
            ReplayError::NotOpen => StatusCode::SERVICE_UNAVAILABLE,
            ReplayError::Thread(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refused.to_string())
    }
}
