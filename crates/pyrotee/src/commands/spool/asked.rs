//! What a running relay is asked.

use pyroscope_wire::query::encode;
use pyrotee_admin::json::spool::{PATH, PURGE, Purged, REPLAY, ReplayProgress, SpoolPage};
use pyrotee_admin::json::{self, Amount};

use crate::client::admin::{Answer, Relay};

/// How its spool is.
pub(super) async fn page(admin: &str) -> anyhow::Result<SpoolPage> {
    let answer: Answer<SpoolPage> = Relay::at(admin)?.get(PATH).await?;
    Ok(answer.value)
}

/// What waits for a target of the relay is lost.
pub(super) async fn purge(admin: &str, target: &str) -> anyhow::Result<Amount> {
    let path = format!("{}?target={}", json::PURGE, encode(target));
    let answer: Answer<Amount> = Relay::at(admin)?.post(&path, "").await?;
    Ok(answer.value)
}

/// What removed targets left is lost, or what the one of this name did.
pub(super) async fn purge_removed(
    admin: &str,
    target: Option<&str>,
) -> anyhow::Result<Vec<Purged>> {
    let one = target.map(|target| format!("&target={}", encode(target)));
    let path = format!("{PURGE}?what=removed{}", one.unwrap_or_default());
    let answer: Answer<Vec<Purged>> = Relay::at(admin)?.post(&path, "").await?;
    Ok(answer.value)
}

/// Damaged segments that were set aside are deleted.
pub(super) async fn purge_quarantined(admin: &str) -> anyhow::Result<Vec<Purged>> {
    let path = format!("{PURGE}?what=quarantined");
    let answer: Answer<Vec<Purged>> = Relay::at(admin)?.post(&path, "").await?;
    Ok(answer.value)
}

/// Begins a replay.
pub(super) async fn replay(admin: &str, from: &str, to: &str) -> anyhow::Result<ReplayProgress> {
    let path = format!("{REPLAY}?from={}&to={}", encode(from), encode(to));
    let answer: Answer<ReplayProgress> = Relay::at(admin)?.post(&path, "").await?;
    Ok(answer.value)
}
