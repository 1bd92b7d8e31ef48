//! Reloads the configuration through the admin listener.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tokio::time::timeout;

use crate::json::reload::ReloadResult;
use crate::response::{Failure, json};
use crate::{Health, Reload};

/// How long a request waits for the end of a reload.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Reloads the configuration and serves the [`ReloadReport`](crate::json::reload::ReloadReport).
pub(crate) async fn reload(
    State(health): State<Arc<Health>>,
    State(relay): State<Arc<dyn Reload>>,
) -> Result<Response, Failure> {
    if !health.is_ready() {
        return Err(Failure::for_now(
            "the relay is starting or stopping: nothing is reloaded",
        ));
    }
    let report = timeout(LONGEST_WAIT, relay.reload()).await;
    let report = report.map_err(|_| {
        let waited = humantime::format_duration(LONGEST_WAIT);
        let text = format!(
            "the reload is not done after {waited} and goes on: see `config` in /api/v1/status, and the relay's log"
        );
        Failure::new(StatusCode::GATEWAY_TIMEOUT, text)
    })?;
    let status = match report.result {
        ReloadResult::Changed | ReloadResult::Unchanged => StatusCode::OK,
        ReloadResult::Refused => StatusCode::BAD_REQUEST,
    };
    Ok((status, json(&report)).into_response())
}

#[cfg(test)]
mod tests {
    use http::Method;
    use pyrotee_queue::lock;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Rig, report};
    use crate::json::reload::PATH;

    #[tokio::test]
    async fn the_report_of_the_relay_is_the_response() {
        for (result, word, status) in [
            (ReloadResult::Changed, "changed", StatusCode::OK),
            (ReloadResult::Unchanged, "unchanged", StatusCode::OK),
            (ReloadResult::Refused, "refused", StatusCode::BAD_REQUEST),
        ] {
            let rig = Rig::new(Vec::new());
            *lock(&rig.relay.report) = Some(report(result));
            let (answered, json) = rig.ask(Method::POST, PATH).await;
            assert_eq!((answered, &json["result"]), (status, &json!(word)));
            assert_eq!(json["hash"], "0123456789abcdef");
            assert_eq!(rig.calls(), ["reload"]);
        }
    }

    #[tokio::test]
    async fn only_a_post_that_the_guard_allows_reloads() {
        let rig = Rig::new(Vec::new());
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let (status, _) = rig.ask(method, PATH).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        }
        let (status, _) = rig.ask_as(Method::POST, PATH, "10.0.0.1").await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        rig.site.guard.set(Some("secret".into()));
        let (status, _) = rig.ask(Method::POST, PATH).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(rig.calls().is_empty());
    }

    #[tokio::test]
    async fn a_reload_under_a_foreign_name_is_refused_and_a_probe_is_not() {
        let rig = Rig::new(Vec::new());
        let (status, _) = rig.ask(Method::POST, "http://evil.example/-/reload").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
        let (status, _) = rig.ask(Method::GET, "http://evil.example/-/ready").await;
        assert_eq!(status, StatusCode::OK);
        assert!(rig.calls().is_empty());
    }

    #[tokio::test]
    async fn a_relay_that_stops_reloads_nothing() {
        let rig = Rig::new(Vec::new());
        rig.health.set_stopping();
        let (status, json) = rig.ask(Method::POST, PATH).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(json["error"].as_str().unwrap().contains("stopping"));
        assert!(rig.calls().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_that_hangs_is_not_waited_for_longer_than_half_a_minute() {
        let rig = Rig::new(Vec::new());
        *lock(&rig.relay.report) = None;
        let asked = tokio::time::Instant::now();
        let (status, json) = rig.ask(Method::POST, PATH).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert!(json["error"].as_str().unwrap().contains("after 30s"));
        assert_eq!(asked.elapsed().as_secs(), 30);
    }
}
