//! Requests of other parts of the relay to reload the configuration.

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
    Reload(oneshot::Sender<ReloadReport>),
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

    /// Has the configuration reloaded. `None`: the relay stops.
    async fn report(&self) -> Option<ReloadReport> {
        let (reply, report) = oneshot::channel();
        self.0.send(Request::Reload(reply)).await.ok()?;
        report.await.ok()
    }

    /// Reads the files of the configuration again, for a deliverer whose target refused the credentials.
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
        Box::pin(async { self.report().await.unwrap_or_else(steps::stopping) })
    }
}
