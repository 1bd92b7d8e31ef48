//! The link with real servers.

mod login;
mod loss;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{Link, Session};
use crate::settings::Settings;

const SOON: Duration = Duration::from_secs(10);

/// A link that ends with the test.
struct Linked {
    link: Link,
    tasks: TaskTracker,
    stop: CancellationToken,
    _ends: DropGuard,
}

fn link(settings: &Settings) -> Linked {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    Linked {
        link: Link::start(settings, &tasks, stop.clone()),
        tasks,
        _ends: stop.clone().drop_guard(),
        stop,
    }
}

impl Linked {
    async fn session(&self) -> Arc<Session> {
        self.session_after(0).await
    }

    /// The first session with a number above `number`.
    async fn session_after(&self, number: u64) -> Arc<Session> {
        let mut sessions = self.link.sessions();
        let is_it = |it: &Option<Arc<Session>>| it.as_ref().is_some_and(|it| it.number > number);
        let found = timeout(SOON, sessions.wait_for(is_it)).await;
        let found = found.unwrap_or_else(|_| panic!("no session: {:?}", self.link.state()));
        found.unwrap().clone().unwrap()
    }

    async fn lost(&self) {
        let mut sessions = self.link.sessions();
        let lost = timeout(SOON, sessions.wait_for(Option::is_none)).await;
        lost.expect("the session does not end").unwrap();
    }

    /// The first error that `is_it` accepts.
    async fn error(&self, is_it: impl Fn(&str) -> bool) -> String {
        let found = timeout(SOON, async {
            loop {
                if let Some(error) = self.link.state().error.filter(|error| is_it(error)) {
                    return error;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("no such error: {:?}", self.link.state()))
    }
}
