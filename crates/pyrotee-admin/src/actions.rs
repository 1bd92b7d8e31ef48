//! Changes of the queues and of the spool through the admin listener.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use pyrotee_queue::Tally;
use tokio::time::timeout;

use crate::json::Amount;
use crate::query::Query;
use crate::response::{Failure, json};
use crate::{Draining, OpenSpool, SharedBacklog, TargetList, TargetView};

/// How long a purge waits for the shared backlog: less than a command waits for the response.
const LONGEST_PURGE: Duration = Duration::from_secs(4);

/// The queues and the spool that the admin listener can change.
#[derive(Debug)]
pub struct Actions {
    pub(crate) targets: TargetList,
    pub(crate) spool: Option<OpenSpool>,
    pub(crate) shared: Option<Arc<dyn SharedBacklog>>,
    pub(crate) draining: Arc<dyn Draining>,
}

impl Actions {
    /// `spool` and `shared` are `None` if the relay has none.
    pub fn new(
        targets: TargetList,
        spool: Option<OpenSpool>,
        shared: Option<Arc<dyn SharedBacklog>>,
        draining: Arc<dyn Draining>,
    ) -> Self {
        Self {
            targets,
            spool,
            shared,
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

/// Deletes the queued profiles of the target in `?target=NAME`, configured or draining, and its shared backlog, counted as
/// `admin`.
pub(crate) async fn purge(
    State(actions): State<Arc<Actions>>,
    query: Query,
) -> Result<Response, Failure> {
    let [name] = query.first(["target"]);
    let target = actions.target(&name.unwrap_or_default())?;
    let mut purged = target.purge();
    let shared = shared_purge(&actions, &target.name).await;
    if let Ok(shared) = &shared {
        purged.profiles += shared.profiles;
        purged.bytes += shared.bytes;
    }
    tracing::warn!(
        target = target.name,
        profiles = purged.profiles,
        bytes = purged.bytes,
        "purged the queue of a target on request"
    );
    shared.map_err(|why| {
        let local = purged.profiles;
        Failure::for_now(format!(
            "deleted {local} profiles of this relay and not the shared backlog of {}: {why}",
            target.name
        ))
    })?;
    Ok(json(&Amount::from(purged)))
}

/// Deletes the shared backlog of a target; nothing if the relay shares none.
///
/// # Errors
/// Why the backlog is not deleted, and what to do.
async fn shared_purge(actions: &Actions, name: &str) -> Result<Tally, String> {
    let Some(shared) = &actions.shared else {
        return Ok(Tally::default());
    };
    let purged = timeout(LONGEST_PURGE, shared.purge(name)).await;
    purged.unwrap_or_else(|_| {
        let waited = humantime::format_duration(LONGEST_PURGE);
        Err(format!(
            "NATS has not responded after {waited}: see `pyrotee status`, and try again"
        ))
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use pyrotee_queue::Reason;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Rig, record, removed, targets};
    use crate::json::shared::SharedJson;
    use crate::{BoxFuture, Membership};

    /// A shared backlog whose purges have this result; `None`: they never end.
    #[derive(Debug)]
    struct FakeBacklog(Option<Result<Tally, String>>);

    impl SharedBacklog for FakeBacklog {
        fn state(&self) -> SharedJson {
            SharedJson::default()
        }

        fn purge(&self, _name: &str) -> BoxFuture<'_, Result<Tally, String>> {
            match &self.0 {
                Some(result) => Box::pin(async move { result.clone() }),
                None => Box::pin(std::future::pending()),
            }
        }
    }

    /// The response to a purge of a target with one profile of 10 bytes in memory and this shared backlog.
    async fn purged(backlog: FakeBacklog) -> (StatusCode, serde_json::Value) {
        let (producer, [view]) = targets([("new", Membership::Configured)]);
        let mut rig = Rig::new(vec![Arc::clone(&view)]);
        let draining: Arc<dyn Draining> = Arc::<crate::fixture::FakeRelay>::clone(&rig.relay);
        let actions = Actions::new(rig.targets.clone(), None, Some(Arc::new(backlog)), draining);
        Arc::get_mut(&mut rig.site).unwrap().actions = Arc::new(actions);
        assert_eq!(producer.offer(&record(10)).queued, 1);
        let answer = rig.ask(Method::POST, "/api/v1/purge?target=new").await;
        assert_eq!(view.counts().dropped(Reason::Admin).profiles, 1);
        answer
    }

    #[tokio::test]
    async fn a_purge_is_of_the_shared_backlog_too() {
        let shared = Tally {
            profiles: 7,
            bytes: 700,
        };
        let (status, json) = purged(FakeBacklog(Some(Ok(shared)))).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(json, json!({ "profiles": 8, "bytes": 710 }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_purge_that_nats_does_not_do_says_what_was_deleted_and_why_not_the_rest() {
        let away = Err("there is no connection to NATS".to_owned());
        for (backlog, why) in [
            (FakeBacklog(Some(away)), "there is no connection to NATS"),
            (FakeBacklog(None), "NATS has not responded after 4s"),
        ] {
            let (status, json) = purged(backlog).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            let text = json["error"].as_str().unwrap();
            assert!(
                text.starts_with("deleted 1 profiles of this relay"),
                "{text}"
            );
            assert!(text.contains(why), "{text}");
        }
    }

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
