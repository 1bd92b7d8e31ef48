//! Changes of the queues and of the spool through the admin listener.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::json::Amount;
use crate::query::Query;
use crate::response::{Failure, json};
use crate::{Draining, OpenSpool, TargetList, TargetView};

/// The queues and the spool that the admin listener can change.
#[derive(Debug)]
pub struct Actions {
    pub(crate) targets: TargetList,
    pub(crate) spool: Option<OpenSpool>,
    pub(crate) draining: Arc<dyn Draining>,
}

impl Actions {
    pub fn new(targets: TargetList, spool: Option<OpenSpool>, draining: Arc<dyn Draining>) -> Self {
        Self {
            targets,
            spool,
            draining,
        }
    }

    /// The target of this name, configured or draining.
    fn target(&self, name: &str) -> Result<Arc<TargetView>, Failure> {
        self.targets.find(name).ok_or_else(|| {
            let known = self.targets.names(|_| true);
            let text = format!("no target `{name}`; there are: {known}");
            Failure::new(StatusCode::NOT_FOUND, text)
        })
    }
}

/// Deletes the queued profiles of the target in `?target=NAME`, configured or draining, counted as `admin`.
pub(crate) async fn purge(
    State(actions): State<Arc<Actions>>,
    query: Query,
) -> Result<Response, Failure> {
    let [name] = query.first(["target"]);
    let target = actions.target(&name.unwrap_or_default())?;
    let purged = target.purge();
    tracing::warn!(
        target = target.name,
        profiles = purged.profiles,
        bytes = purged.bytes,
        "purged the queue of a target on request"
    );
    Ok(json(&Amount::from(purged)))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use pyrotee_queue::Reason;
    use serde_json::json;

    use super::*;
    use crate::Membership;
    use crate::fixture::{Rig, record, removed, targets};

    #[tokio::test]
    async fn a_purge_is_for_configured_and_draining_targets() {
        let (producer, views) = targets([("new", Membership::Configured), ("old", removed())]);
        let rig = Rig::new(views.to_vec());
        assert_eq!(producer.offer(&record(10)).queued, 2);
        for (name, view) in ["new", "old"].iter().zip(&views) {
            let path = format!("/api/v1/purge?target={name}");
            let (status, json) = rig.ask(Method::POST, &path).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(json, json!({ "profiles": 1, "bytes": 10 }));
            assert_eq!(view.counts().dropped(Reason::Admin).profiles, 1);
        }
        let (status, json) = rig.ask(Method::POST, "/api/v1/purge?target=none").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(json["error"], "no target `none`; there are: new, old");
    }

    #[tokio::test]
    async fn a_list_that_was_replaced_counts_for_the_next_request() {
        let (_producer, [new, old]) =
            targets([("new", Membership::Configured), ("old", removed())]);
        let rig = Rig::new(vec![Arc::clone(&new), old]);
        rig.targets.set(vec![new]);
        let (status, _) = rig.ask(Method::POST, "/api/v1/purge?target=old").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}
