//! What the admin listener tells: metrics, status, health.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::json;
use crate::response::{METRICS, json as json_response, respond, text};
use crate::{Health, OpenSpool, StatusSource, spool};

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
}

impl Pages {
    /// The page at a path, if there is one.
    pub(crate) fn get(&self, path: &str) -> Option<Response<Full<Bytes>>> {
        let Self {
            metrics,
            status,
            spool: open_spool,
            health,
        } = self;
        Some(match path {
            "/" => text(StatusCode::OK, INDEX),
            "/metrics" => respond(StatusCode::OK, METRICS, metrics.render()),
            json::status::PATH => json_response(StatusCode::OK, &status.page()),
            json::spool::PATH => spool::page(open_spool.as_ref()),
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
