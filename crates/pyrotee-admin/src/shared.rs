//! The page of the shared backlog, and its degraded states.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::json::line;
use crate::json::shared::{SharedJson, UNUSABLE, WAITING};
use crate::json::status::DegradationJson;
use crate::response::{Failure, JSON, page as page_response};
use crate::{Pages, SharedBacklog};

/// The part of a [`DegradationJson`].
const PART: &str = "shared";

/// Serves `/api/v1/shared`: the shared backlog of each target.
pub(crate) async fn page(State(pages): State<Arc<Pages>>) -> Result<Response, Failure> {
    let shared = pages.status.shared().ok_or_else(|| {
        let text = "this relay shares no backlog: its configuration has no section `shared`";
        Failure::new(StatusCode::NOT_FOUND, text)
    })?;
    Ok(page_response(JSON, &pages.copies.shared, || {
        line(&shared.state())
    }))
}

/// What of the shared backlog does not work: the connection, or else streams of targets. The relay that starts has no
/// connection yet and is not degraded.
pub(crate) fn degraded(shared: &dyn SharedBacklog) -> Vec<DegradationJson> {
    of_state(&shared.state())
}

fn of_state(state: &SharedJson) -> Vec<DegradationJson> {
    let degradation = |state: &str, text| DegradationJson {
        part: PART.to_owned(),
        state: state.to_owned(),
        text,
    };
    if !state.connected {
        let error = state.error.iter();
        let text = |error| format!("no connection to NATS, profiles wait in memory: {error}");
        return error.map(|it| degradation(WAITING, text(it))).collect();
    }
    let unusable = state.targets.iter().filter(|it| it.state == UNUSABLE);
    let unusable = unusable.map(|it| {
        let why = it.text.as_deref().unwrap_or("the reason is in the log");
        let text = format!("profiles of {} wait in memory: {why}", it.name);
        degradation(UNUSABLE, text)
    });
    unusable.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::shared::{READY, SharedTargetJson};

    fn target(name: &str, state: &str) -> SharedTargetJson {
        SharedTargetJson {
            name: name.to_owned(),
            state: state.to_owned(),
            text: (state == UNUSABLE).then(|| "its retention is `limits`".to_owned()),
            ..SharedTargetJson::default()
        }
    }

    #[test]
    fn a_lost_connection_and_a_stream_that_cannot_be_used_are_degradations() {
        let lines = |state: &SharedJson| {
            let all = of_state(state).into_iter();
            all.map(|it| it.line()).collect::<String>()
        };
        let starting = SharedJson::default();
        assert_eq!(lines(&starting), "");
        let away = SharedJson {
            error: Some("connection refused".to_owned()),
            targets: vec![target("eu", UNUSABLE)],
            ..SharedJson::default()
        };
        assert_eq!(
            lines(&away),
            "shared (waiting): no connection to NATS, profiles wait in memory: connection refused\n"
        );
        let connected = SharedJson {
            connected: true,
            targets: vec![target("eu", READY), target("us", UNUSABLE)],
            ..SharedJson::default()
        };
        assert_eq!(
            lines(&connected),
            "shared (unusable): profiles of us wait in memory: its retention is `limits`\n"
        );
    }
}
