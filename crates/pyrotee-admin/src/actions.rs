//! What can be changed through the admin listener.

use std::sync::Arc;

use http::{Response, StatusCode};
use pyroscope_wire::query;

use crate::body::Body;
use crate::json::{self, Amount};
use crate::response::{error, json};
use crate::spool::{self, OpenSpool};
use crate::target_view::{TargetView, known};

/// One thing that can be changed; its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// `?target=NAME`: what waits for the target is lost, counted as `admin`.
    Purge,
    /// `?what=`: what removed targets left in the spool is lost, or damaged segments are deleted.
    PurgeSpool,
    /// `?from=OLD&to=NEW`: what a removed target left in the spool goes to another one.
    ReplaySpool,
}

/// Whom an action concerns.
#[derive(Debug)]
pub struct Actions {
    targets: Arc<[TargetView]>,
    spool: Option<OpenSpool>,
}

impl Action {
    /// What is asked for by a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            json::PURGE => Some(Self::Purge),
            json::spool::PURGE => Some(Self::PurgeSpool),
            json::spool::REPLAY => Some(Self::ReplaySpool),
            _ => None,
        }
    }
}

impl Actions {
    pub fn new(targets: Arc<[TargetView]>, spool: Option<OpenSpool>) -> Self {
        Self { targets, spool }
    }

    /// Does it, and says what came of it.
    pub(super) async fn run(&self, action: Action, query: &str) -> Response<Body> {
        match action {
            Action::Purge => self.purge(query),
            Action::PurgeSpool => spool::purge(self.spool.as_ref(), query).await,
            Action::ReplaySpool => spool::replay(self.spool.as_ref(), query),
        }
    }

    fn purge(&self, query: &str) -> Response<Body> {
        let target = match self.target(query, "target") {
            Ok(target) => target,
            Err(text) => return error(StatusCode::NOT_FOUND, &text),
        };
        let purged = target.purge();
        tracing::warn!(
            target = target.name,
            profiles = purged.profiles,
            bytes = purged.bytes,
            "purged what waited for a target, as it was asked for"
        );
        json(StatusCode::OK, &Amount::from(purged))
    }

    /// The target that a key of the query names, or which there are.
    fn target(&self, raw_query: &str, key: &'static str) -> Result<&TargetView, String> {
        let [name] = query::first(raw_query, [key]);
        let name = name.map(|value| value.decode()).unwrap_or_default();
        let found = self.targets.iter().find(|target| target.name == name);
        found.ok_or_else(|| {
            let known = known(&self.targets);
            format!("no target `{name}`; there are: {known}")
        })
    }
}
