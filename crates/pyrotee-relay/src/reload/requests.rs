//! How the rest of the relay asks for a reload.

use pyrotee_admin::json::reload::ReloadReport;
use pyrotee_admin::{BoxFuture, Reload};
use pyrotee_delivery::CredentialRefresh;
use tokio::sync::{mpsc, oneshot};

use super::steps;

/// Requests that may wait; a further one waits for its place.
const MOST_WAITING: usize = 64;

/// A request to the task that reloads.
#[derive(Debug)]
pub(super) enum Request {
    /// Reload the configuration file and the files that it names.
    Reload {
        /// Who asks, for the log.
        by: &'static str,
        reply: oneshot::Sender<ReloadReport>,
    },
    /// Read the files again that the configuration in force names.
    RereadFiles(oneshot::Sender<()>),
}

/// Asks for reloads. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReloadHandle(mpsc::Sender<Request>);

/// The requests of all clones of a handle.
#[derive(Debug)]
pub(crate) struct Requests(pub(super) mpsc::Receiver<Request>);

impl ReloadHandle {
    /// A handle, and the requests that it and its clones make.
    pub(crate) fn new() -> (Self, Requests) {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        (Self(sender), Requests(receiver))
    }

    /// Reloads, and returns what came of it. `None`: the relay stops.
    pub(crate) async fn reload_for(&self, by: &'static str) -> Option<ReloadReport> {
        let (reply, report) = oneshot::channel();
        self.0.send(Request::Reload { by, reply }).await.ok()?;
        report.await.ok()
    }

    /// What a deliverer calls after its target refused the credentials.
    pub(crate) fn refresh(&self) -> CredentialRefresh {
        let requests = self.0.clone();
        CredentialRefresh::new(move || {
            let requests = requests.clone();
            async move {
                let (reply, done) = oneshot::channel();
                if requests.send(Request::RereadFiles(reply)).await.is_ok() {
                    done.await.ok();
                }
            }
        })
    }
}

impl Reload for ReloadHandle {
    fn reload(&self) -> BoxFuture<'_, ReloadReport> {
        Box::pin(async {
            let report = self.reload_for("admin").await;
            report.unwrap_or_else(steps::stopping)
        })
    }
}
