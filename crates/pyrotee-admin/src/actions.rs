//! Changes of the queues and of the spool through the admin listener.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;

use crate::OpenSpool;
use crate::json::Amount;
use crate::query::Query;
use crate::response::{Failure, json};
use crate::routes::SharedSite;
use crate::target_view::{TargetView, known};

/// The queues and the spool that the admin listener can change.
#[derive(Debug)]
pub struct Actions {
    targets: Arc<[TargetView]>,
    pub(crate) spool: Option<OpenSpool>,
}

impl Actions {
    pub fn new(targets: Arc<[TargetView]>, spool: Option<OpenSpool>) -> Self {
        Self { targets, spool }
    }

    fn target(&self, name: &str) -> Result<&TargetView, Failure> {
        let found = self.targets.iter().find(|target| target.name == name);
        found.ok_or_else(|| {
            let known = known(&self.targets);
            let text = format!("no target `{name}`; there are: {known}");
            Failure::new(StatusCode::NOT_FOUND, text)
        })
    }
}

/// Deletes the queued profiles of the target in `?target=NAME`, counted as `admin`.
pub(crate) async fn purge(site: SharedSite, query: Query) -> Result<Response, Failure> {
    let [name] = query.first(["target"]);
    let target = site.actions.target(&name.unwrap_or_default())?;
    let purged = target.purge();
    tracing::warn!(
        target = target.name,
        profiles = purged.profiles,
        bytes = purged.bytes,
        "purged the queue of a target on request"
    );
    Ok(json(&Amount::from(purged)))
}
