//! What the admin listener tells: metrics, status, health.

use std::fmt;
use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;

use crate::json::line;
use crate::page_copies::PageCopies;
use crate::response::{JSON, METRICS, page};
use crate::routes::SharedSite;
use crate::{Health, OpenSpool, StatusSource};

const INDEX: &str = "\
pyrotee
  /metrics         metrics for Prometheus
  /api/v1/status   how each target is, as JSON; `pyrotee status` shows it as a table
  /api/v1/spool    what waits on disk, as JSON; `pyrotee spool stats` shows it as a table
  /api/v1/dead-letters   profiles that a target rejected; `pyrotee dead-letters` shows them
  /-/healthy       200 while the process lives
  /-/ready         200 while it wants requests, 503 while it stops; its lines tell what is degraded

With the admin-token as Authorization: Bearer; if none is set, from this machine
  GET  /api/v1/dead-letters/ID, /api/v1/dead-letters/ID/request   the contents of one
  POST /api/v1/purge?target=NAME   lose what waits for a target, counted as `admin`
  POST /api/v1/dead-letters/replay, /api/v1/dead-letters/purge
  POST /api/v1/spool/purge?what=removed       lose what removed targets left on disk
  POST /api/v1/spool/purge?what=quarantined   delete damaged segments that were set aside
  POST /api/v1/spool/replay?from=OLD&to=NEW   hand what a removed target left to another one
";

/// Renders `/metrics`.
pub trait Metrics: fmt::Debug + Send + Sync {
    /// The Prometheus text format, of this instant.
    fn render(&self) -> String;

    /// Empties the exporter's sample buffers, which grow until then; called every few seconds.
    fn upkeep(&self);
}

/// The sources of the pages.
#[derive(Debug)]
pub struct Pages {
    pub metrics: Box<dyn Metrics>,
    pub status: StatusSource,
    pub spool: Option<OpenSpool>,
    pub health: Arc<Health>,
    pub copies: Copies,
}

/// The copies of each page that clients are reading.
#[derive(Debug, Default)]
pub struct Copies {
    metrics: PageCopies,
    status: PageCopies,
    pub(crate) spool: PageCopies,
}

/// `/`: which pages and actions there are.
pub(crate) async fn index() -> &'static str {
    INDEX
}

pub(crate) async fn metrics(site: SharedSite) -> Response {
    let Pages {
        metrics, copies, ..
    } = &site.pages;
    page(METRICS, &copies.metrics, || metrics.render())
}

pub(crate) async fn status(site: SharedSite) -> Response {
    let Pages { status, copies, .. } = &site.pages;
    page(JSON, &copies.status, || line(&status.page()))
}

/// Whether the process lives.
pub(crate) async fn healthy(site: SharedSite) -> (StatusCode, &'static str) {
    if site.pages.health.is_alive() {
        (StatusCode::OK, "healthy\n")
    } else {
        let text = "the data path stands still\n";
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

/// Whether the relay wants requests.
pub(crate) async fn ready(site: SharedSite) -> (StatusCode, String) {
    if site.pages.health.is_ready() {
        (StatusCode::OK, site.pages.status.ready())
    } else {
        let text = "not ready: starting or stopping\n".to_owned();
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}
