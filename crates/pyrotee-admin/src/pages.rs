//! What the admin listener tells: metrics, status, health.

use std::fmt;
use std::sync::Arc;

use http::{Response, StatusCode};

use crate::body::Body;
use crate::json::{self, line};
use crate::page_copies::PageCopies;
use crate::response::{JSON, METRICS, page, text};
use crate::{Health, OpenSpool, StatusSource, spool};

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
    spool: PageCopies,
}

impl Pages {
    /// The page at a path, if there is one.
    pub(crate) fn get(&self, path: &str) -> Option<Response<Body>> {
        let Self {
            metrics,
            status,
            spool: open_spool,
            health,
            copies,
        } = self;
        Some(match path {
            "/" => text(StatusCode::OK, INDEX),
            json::METRICS => page(METRICS, &copies.metrics, || metrics.render()),
            json::status::PATH => page(JSON, &copies.status, || line(&status.page())),
            json::spool::PATH => spool::page(open_spool.as_ref(), &copies.spool),
            "/-/healthy" if health.is_alive() => text(StatusCode::OK, "healthy\n"),
            "/-/healthy" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the data path stands still\n",
            ),
            "/-/ready" if health.is_ready() => text(StatusCode::OK, status.ready()),
            "/-/ready" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: starting or stopping\n",
            ),
            _ => return None,
        })
    }
}
