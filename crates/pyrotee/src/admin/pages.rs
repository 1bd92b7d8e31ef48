//! What the admin listener tells: metrics, status, health.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::answer::{JSON, METRICS, respond, text};
use super::{Health, Spool, Status};
use crate::status::page;
use crate::telemetry::Scrape;

const INDEX: &str = "\
pyrotee
  /metrics         metrics for Prometheus
  /api/v1/status   how each target is, as JSON; `pyrotee status` shows it as a table
  /api/v1/spool    what waits on disk, as JSON; `pyrotee spool stats` shows it as a table
  /api/v1/dead-letters   profiles that a target rejected; `pyrotee dead-letters` shows them
  /-/healthy       200 while the process lives
  /-/ready         200 while it wants requests, 503 while it stops

From this machine, or with the admin-token as Authorization: Bearer
  POST /api/v1/purge?target=NAME   lose what waits for a target, counted as `admin`
  POST /api/v1/dead-letters/replay, /api/v1/dead-letters/purge, /api/v1/dead-letters/ID/request
  POST /api/v1/spool/purge?what=removed       lose what removed targets left on disk
  POST /api/v1/spool/purge?what=quarantined   delete damaged segments that were set aside
  POST /api/v1/spool/replay?from=OLD&to=NEW   hand what a removed target left to another one
";

/// Where what is told comes from.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) scrape: Scrape,
    pub(crate) status: Status,
    pub(crate) spool: Option<Spool>,
    pub(crate) health: Arc<Health>,
}

impl Pages {
    /// The page at a path, if there is one.
    pub(super) fn get(&self, path: &str) -> Option<Response<Full<Bytes>>> {
        let Self {
            scrape,
            status,
            spool,
            health,
        } = self;
        Some(match path {
            "/" => text(StatusCode::OK, INDEX),
            "/metrics" => respond(StatusCode::OK, METRICS, scrape.render()),
            page::PATH => respond(StatusCode::OK, JSON, status.render()),
            crate::spool::page::PATH => super::spool::page(spool.as_ref()),
            "/-/healthy" if health.is_alive() => text(StatusCode::OK, "healthy\n"),
            "/-/healthy" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the data path stands still\n",
            ),
            "/-/ready" if health.is_ready() => text(StatusCode::OK, "ready\n"),
            "/-/ready" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: starting or stopping\n",
            ),
            _ => return None,
        })
    }
}
