//! The pages of the admin listener: index, metrics, status and health.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::json::line;
use crate::page_copies::PageCopies;
use crate::response::{JSON, METRICS, page};
use crate::{Health, OpenSpool, StatusSource};

const INDEX: &str = "\
pyrotee
  /metrics         metrics for Prometheus
  /api/v1/status   the state of each target, as JSON; `pyrotee status` shows it as a table
  /targets         the applications that the relay scrapes, as JSON; `pyrotee scrape status` shows them as a table
  /api/v1/spool    the records on disk, as JSON; `pyrotee spool stats` shows them as a table
  /api/v1/shared   the backlog that the relay shares with others, as JSON
  /api/v1/dead-letters   profiles that a target rejected; `pyrotee dead-letters` shows them
  /-/healthy       200 while the process lives
  /-/ready         200 while the relay accepts requests, 503 while it starts or stops; further lines list degraded parts

With the admin-token as Authorization: Bearer; if none is set, from this machine
  GET  /api/v1/dead-letters/ID, /api/v1/dead-letters/ID/request   the contents of one dead letter
  POST /-/reload                   read the configuration again and apply the changes; `pyrotee reload` shows them
  POST /api/v1/purge?target=NAME   delete the queued profiles of a target, counted as `admin`, and its shared backlog
  POST /api/v1/dead-letters/replay, /api/v1/dead-letters/purge
  POST /api/v1/spool/purge?what=removed       delete the profiles of removed targets on disk
  POST /api/v1/spool/purge?what=quarantined   delete the damaged segments in quarantine
  POST /api/v1/spool/replay?from=OLD&to=NEW   move the profiles of a removed target to another target
";

/// Renders `/metrics`.
pub trait Metrics: fmt::Debug + Send + Sync {
    /// The metrics of this instant in the Prometheus text format.
    fn render(&self) -> String;

    /// Empties the exporter's sample buffers, which grow between two calls; called every few seconds.
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
    scrape: PageCopies,
    pub(crate) spool: PageCopies,
    pub(crate) shared: PageCopies,
}

/// Serves `/`: the list of pages and actions.
pub(crate) async fn index() -> &'static str {
    INDEX
}

pub(crate) async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    page(METRICS, &pages.copies.metrics, || pages.metrics.render())
}

pub(crate) async fn status(State(pages): State<Arc<Pages>>) -> Response {
    page(JSON, &pages.copies.status, || line(&pages.status.page()))
}

/// Serves `/targets`: the scrape targets, as Pyroscope 0.37 did.
pub(crate) async fn scrape_targets(State(pages): State<Arc<Pages>>) -> Response {
    page(JSON, &pages.copies.scrape, || {
        line(&pages.status.scrape_targets())
    })
}

/// Serves `/-/healthy`: whether the data path still runs.
pub(crate) async fn healthy(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.is_alive() {
        (StatusCode::OK, "healthy\n")
    } else {
        let text = "the data path stands still\n";
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

/// Serves `/-/ready`: whether the relay accepts requests.
pub(crate) async fn ready(State(pages): State<Arc<Pages>>) -> (StatusCode, String) {
    if pages.health.is_ready() {
        (StatusCode::OK, pages.status.ready())
    } else {
        let text = "not ready: starting or stopping\n".to_owned();
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}
