//! The page and the actions of the spool.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use pyrotee_spool::{Mode, Monitor, Opening, ReplayError, ReplayState};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::json::spool::{
    IN_USE, MEMORY_ONLY, OpeningJson, Purged, READ_ERRORS, ReplayProgress, SCANNING, SpoolPage,
    WAITING,
};
use crate::json::{line, seconds};
use crate::query::Query;
use crate::response::{Failure, JSON, json, page as page_response};
use crate::{Actions, OpenSpool, Pages};

/// How long a replay waits until the delivery of its draining target has stopped.
const LONGEST_STOP: Duration = Duration::from_secs(10);

fn open(spool: Option<&OpenSpool>) -> Result<&OpenSpool, Failure> {
    let text = "this relay has no spool: its configuration does not set spool.dir";
    spool.ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, text))
}

/// Serves `/api/v1/spool`: the pending records of each target.
pub(crate) async fn page(State(pages): State<Arc<Pages>>) -> Result<Response, Failure> {
    let spool = open(pages.spool.as_ref())?;
    let copies = &pages.copies.spool;
    Ok(page_response(JSON, copies, || line(&survey(spool))))
}

fn survey(spool: &OpenSpool) -> SpoolPage {
    let stats = spool.monitor.stats();
    let dir = spool.dir.display().to_string();
    let mut page = SpoolPage::of(dir, spool.monitor.survey(), Some(stats.max_bytes));
    page.careful = stats.careful;
    let (state, opening) = state(&spool.monitor);
    state.clone_into(&mut page.state);
    page.opening = opening;
    page.replay = spool.control.progress().map(ReplayProgress::from);
    page
}

/// The state of a relay's spool; if the spool is not open, with the reason or the progress of the opening.
pub(crate) fn state(monitor: &Monitor) -> (&'static str, Option<OpeningJson>) {
    match monitor.mode() {
        Mode::Disk => (IN_USE, None),
        Mode::Waiting => opening(monitor.opening()),
        Mode::MemoryOnly => (MEMORY_ONLY, None),
        Mode::ReadErrors => (READ_ERRORS, None),
    }
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
pub(crate) async fn purge(
    State(actions): State<Arc<Actions>>,
    query: Query,
) -> Result<Response, Failure> {
    let spool = open(actions.spool.as_ref())?;
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

/// Moves the records of a removed target, draining or not, to a configured target (`?from=OLD&to=NEW`).
pub(crate) async fn replay(
    State(actions): State<Arc<Actions>>,
    query: Query,
) -> Result<Response, Failure> {
    let spool = open(actions.spool.as_ref())?;
    let [Some(from), Some(to)] = query.first(["from", "to"]) else {
        let text = "write ?from=OLD&to=NEW";
        return Err(Failure::new(StatusCode::BAD_REQUEST, text));
    };
    if may_begin(spool) {
        stop_delivery(&actions, &from, &to).await?;
    }
    let begun = spool.control.replay(&from, &to)?;
    Ok(json(&ReplayProgress::from(begun)))
}

/// Whether the state of the spool allows a replay to begin.
/// [`Control::replay`](pyrotee_spool::Control::replay) gives the reason if it does not.
fn may_begin(spool: &OpenSpool) -> bool {
    let is_running = |it: pyrotee_spool::ReplayProgress| it.state == ReplayState::Running;
    spool.monitor.opening() == Opening::Open && !spool.control.progress().is_some_and(is_running)
}

/// Stops the delivery to `from` if that target is draining, so that its records can be moved. Nothing is stopped if `to`
/// is not configured, because the replay is refused then.
async fn stop_delivery(actions: &Actions, from: &str, to: &str) -> Result<(), Failure> {
    let target = |name| actions.targets.find(name);
    let is_draining = target(from).is_some_and(|from| from.is_draining());
    let can_take = target(to).is_some_and(|to| !to.is_draining());
    if !is_draining || !can_take {
        return Ok(());
    }
    tracing::info!(
        target = from,
        to,
        "stopping the delivery of a draining target for a replay"
    );
    let stopped = timeout(LONGEST_STOP, actions.draining.stop(from)).await;
    stopped.map_err(|_| {
        let waited = humantime::format_duration(LONGEST_STOP);
        let text = format!("the delivery to {from} has not stopped after {waited}: try again");
        Failure::for_now(text)
    })
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

#[cfg(test)]
mod tests {
    use pyrotee_queue::lock;

    use super::*;
    use crate::fixture::{Rig, configured, draining};

    fn rig() -> Rig {
        Rig::new(vec![configured("new"), draining("old"), draining("older")])
    }

    #[tokio::test]
    async fn a_replay_stops_the_delivery_of_a_draining_target() {
        let rig = rig();
        let stopped = stop_delivery(&rig.site.actions, "old", "new").await;
        assert!(stopped.is_ok());
        assert_eq!(rig.calls(), ["stop old"]);
    }

    #[tokio::test]
    async fn nothing_is_stopped_for_a_replay_that_cannot_begin() {
        let rig = rig();
        for (from, to) in [
            ("new", "new"),
            ("gone", "new"),
            ("old", "older"),
            ("old", "gone"),
        ] {
            let stopped = stop_delivery(&rig.site.actions, from, to).await;
            assert!(stopped.is_ok(), "{from} {to}");
        }
        assert!(rig.calls().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_that_does_not_stop_is_waited_for_ten_seconds() {
        let rig = rig();
        *lock(&rig.relay.report) = None;
        let asked = tokio::time::Instant::now();
        let failure = stop_delivery(&rig.site.actions, "old", "new").await;
        let failure = format!("{:?}", failure.unwrap_err());
        assert!(failure.contains("503") && failure.contains("has not stopped after 10s"));
        assert_eq!(asked.elapsed().as_secs(), 10);
    }
}
