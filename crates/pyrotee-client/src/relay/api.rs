//! The calls of a relay's admin API, with their paths.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use pyroscope_wire::query::encode;
use pyrotee_admin::json::dead_letters::{
    self, BatchRequest, BatchResult, LetterDetail, LetterPage, PageQuery,
};
use pyrotee_admin::json::reload::{self, ReloadReport};
use pyrotee_admin::json::scrape::{self, ScrapeTargetJson};
use pyrotee_admin::json::spool::{self, Purged, ReplayProgress, SpoolPage};
use pyrotee_admin::json::status::{self, StatusPage};
use pyrotee_admin::json::{self, Amount};
use pyrotee_letters::Id;

use super::{JsonResponse, RELOAD_TIMEOUT, RelayClient};
use crate::http::ExchangeLimits;

impl RelayClient {
    /// Checks liveness. Returns the status and the text of the response.
    pub async fn healthy(&self) -> anyhow::Result<(StatusCode, String)> {
        self.text("/-/healthy").await
    }

    /// Checks readiness. Returns the status and the text of the response.
    pub async fn ready(&self) -> anyhow::Result<(StatusCode, String)> {
        self.text("/-/ready").await
    }

    /// The status of the targets.
    pub async fn status(&self) -> anyhow::Result<JsonResponse<StatusPage>> {
        self.get(status::PATH).await
    }

    /// The scrape targets of pull mode.
    pub async fn scrape_targets(&self) -> anyhow::Result<JsonResponse<Vec<ScrapeTargetJson>>> {
        self.get(scrape::PATH).await
    }

    /// Has the relay reload its configuration, and waits for the result. A configuration with faults is a result, not an
    /// error.
    pub async fn reload(&self) -> anyhow::Result<ReloadReport> {
        let limits = ExchangeLimits {
            timeout: RELOAD_TIMEOUT,
            ..self.page
        };
        let response = self.exchange(Method::POST, reload::PATH, Bytes::new(), limits);
        let response = response.await?;
        if response.status == StatusCode::BAD_REQUEST
            && let Ok(report) = serde_json::from_slice(&response.body)
        {
            return Ok(report);
        }
        Ok(self.json(&response)?.value)
    }

    /// Drops the pending profiles of a configured or draining target.
    pub async fn purge(&self, target: &str) -> anyhow::Result<Amount> {
        let path = format!("{}?target={}", json::PURGE, encode(target));
        self.post(&path, "").await
    }

    /// The state of the spool.
    pub async fn spool(&self) -> anyhow::Result<SpoolPage> {
        Ok(self.get(spool::PATH).await?.value)
    }

    /// Drops the pending profiles of all removed targets, or of the removed target `target` alone.
    pub async fn purge_removed(&self, target: Option<&str>) -> anyhow::Result<Vec<Purged>> {
        let target = target.map(|target| format!("&target={}", encode(target)));
        let path = format!(
            "{}?what=removed{}",
            spool::PURGE,
            target.unwrap_or_default()
        );
        self.post(&path, "").await
    }

    /// Deletes the segments in quarantine.
    pub async fn purge_quarantined(&self) -> anyhow::Result<Vec<Purged>> {
        let path = format!("{}?what=quarantined", spool::PURGE);
        self.post(&path, "").await
    }

    /// Begins to hand the pending profiles of the removed target `from` to the target `to`.
    pub async fn replay_removed(&self, from: &str, to: &str) -> anyhow::Result<ReplayProgress> {
        let (from, to) = (encode(from), encode(to));
        let path = format!("{}?from={from}&to={to}", spool::REPLAY);
        self.post(&path, "").await
    }

    /// A page of dead letters.
    pub async fn dead_letters(
        &self,
        query: &PageQuery,
    ) -> anyhow::Result<JsonResponse<LetterPage>> {
        let mut path = format!("{}?limit={}", dead_letters::PATH, query.limit);
        for (key, value) in [
            ("target", query.target.clone()),
            ("before", query.before.as_ref().map(Id::to_string)),
        ] {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", encode(&value)));
            }
        }
        self.get(&path).await
    }

    /// One dead letter and the head of its request.
    pub async fn dead_letter(&self, id: &Id) -> anyhow::Result<JsonResponse<LetterDetail>> {
        self.get(&format!("{}/{id}", dead_letters::PATH)).await
    }

    /// The captured request of a dead letter.
    pub async fn captured_request(&self, id: &Id) -> anyhow::Result<Bytes> {
        let path = format!("{}/{id}/request", dead_letters::PATH);
        self.file(&path).await
    }

    /// Offers dead letters again: to the targets that rejected them, or to the target `to`.
    pub async fn replay_dead_letters(
        &self,
        ids: Vec<String>,
        to: Option<String>,
    ) -> anyhow::Result<BatchResult> {
        let json = serde_json::to_vec(&BatchRequest { ids, to })?;
        self.post(dead_letters::REPLAY, json).await
    }

    /// Removes dead letters.
    pub async fn purge_dead_letters(&self, ids: Vec<String>) -> anyhow::Result<BatchResult> {
        let json = serde_json::to_vec(&BatchRequest { ids, to: None })?;
        self.post(dead_letters::PURGE, json).await
    }
}
