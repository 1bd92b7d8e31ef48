//! Takes a changed configuration, and changed contents of the files that it names, while the relay runs.
//!
//! Two levels end in the same step, [`ReloadableParts::apply`]:
//!
//! - The *files that the configuration in force names* (`${file:PATH}`) are read again, whatever the state of the
//!   configuration file. A file that cannot be used keeps its last good content.
//! - The *configuration file* is compared by its content. It changes all or nothing: with a fault the configuration in force
//!   stays.
//!
//! A content is taken once two looks in a row have found the same, so that a file that is being written is not taken.

mod look;
mod reloadable_parts;
mod requests;
mod state;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use pyrotee_admin::ReloadNotices;
use pyrotee_admin::json::reload::ReloadReport;
use pyrotee_config::{Config, ConfigText, FileContents, Loaded, Loader};
use pyrotee_queue::{Part, Supervisor};
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use look::{Look, Looks};
pub(crate) use reloadable_parts::{ReloadableParts, targets_in_force};
use requests::Request;
pub(crate) use requests::{ReloadHandle, Requests};
pub(crate) use state::ReloadState;

/// Time between two looks that must agree while somebody waits for the reload.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Divisor of `reload.interval`: the time between two looks that must agree while nobody waits.
const LOOKS_PER_INTERVAL: u32 = 5;

/// Longest time between two looks that must agree while nobody waits.
const LONGEST_BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Number of looks after which a reload is refused because each look finds another content.
const MOST_LOOKS: usize = 20;

/// Time until the task goes on after a panic.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// The fault of a configuration whose files could not be read in time.
const DISK_HANGS: &str =
    "the disk of the configuration or of a file that it names does not answer: try again";

/// Changes the relay as its configuration changes.
#[derive(Debug)]
pub(crate) struct Reloader {
    looks: Looks,
    in_force: InForce,
    /// The faults of the configuration file as it is; empty if it is the one in force.
    refused: Vec<String>,
    parts: ReloadableParts,
    state: Arc<ReloadState>,
    requests: Requests,
    notices: ReloadNotices,
    supervisor: Supervisor,
}

/// The configuration that the relay runs with.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) text: ConfigText,
    pub(crate) loaded: Loaded,
}

impl InForce {
    fn config(&self) -> &Config {
        &self.loaded.config
    }

    fn files(&self) -> &FileContents {
        &self.loaded.files
    }
}

impl Reloader {
    pub(crate) fn new(
        loader: Loader,
        in_force: InForce,
        parts: ReloadableParts,
        state: Arc<ReloadState>,
        requests: Requests,
        notices: ReloadNotices,
        supervisor: Supervisor,
    ) -> Self {
        Self {
            looks: Looks::new(loader, supervisor.clone()),
            in_force,
            refused: Vec::new(),
            parts,
            state,
            requests,
            notices,
            supervisor,
        }
    }

    /// Reloads when somebody asks, at each `hangup`, and by itself at each `reload.interval`, until `stop`. Goes on after a
    /// panic.
    pub(crate) async fn run(mut self, mut hangup: Signal, stop: CancellationToken) {
        let supervisor = self.supervisor.clone();
        loop {
            let serving = self.serve(&mut hangup, &stop);
            let served = supervisor.catch_future(Part::Reload, serving).await;
            if served.is_ok() {
                return;
            }
            self.end_notice();
            sleep(PAUSE_AFTER_PANIC).await;
        }
    }

    async fn serve(&mut self, hangup: &mut Signal, stop: &CancellationToken) {
        let mut last_look = Instant::now();
        loop {
            let interval = self.in_force.config().reload.interval;
            let due = last_look
                .checked_add(interval)
                .filter(|_| !interval.is_zero());
            let due = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(request) = self.requests.0.recv() => self.answer(request).await,
                Some(()) = hangup.recv() => {
                    self.reload("SIGHUP").await;
                }
                () = due => {
                    self.look_by_itself(interval).await;
                    self.end_notice();
                    last_look = Instant::now();
                }
            }
        }
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Reload(reply) => {
                let report = self.reload("admin").await;
                // The client may have gone.
                reply.send(report).ok();
            }
            Request::RereadFiles(reply) => {
                self.reread_files().await;
                self.end_notice();
                reply.send(()).ok();
            }
        }
    }

    /// Takes the configuration file and the files that it names as soon as two looks agree.
    async fn reload(&mut self, by: &'static str) -> ReloadReport {
        tracing::info!(by, "reloading the configuration");
        self.notices.begin();
        let step = match self.looks_that_agree().await {
            Ok((before, now)) => {
                let rotated = self.take_files(&before, &now, true).await;
                rotated.and(self.take_text(&now, true).await)
            }
            Err(fault) => self.refuse(vec![fault.to_owned()]),
        };
        self.end_notice();
        self.report(step)
    }

    /// Looks until two looks in a row agree, and returns the two.
    ///
    /// # Errors
    /// Why they do not, as a fault of the configuration.
    async fn looks_that_agree(&mut self) -> Result<(Look, Look), &'static str> {
        let mut before = self.look().await.ok_or(DISK_HANGS)?;
        for _ in 0..MOST_LOOKS {
            sleep(BETWEEN_LOOKS).await;
            let now = self.look().await.ok_or(DISK_HANGS)?;
            if before.agrees_with(&now) {
                return Ok((before, now));
            }
            before = now;
        }
        Err("the configuration changes while it is read: try again")
    }

    /// Looks whether something has changed, and takes it if a second look agrees.
    async fn look_by_itself(&mut self, interval: Duration) {
        let Some(before) = self.look().await else {
            return;
        };
        if !self.is_news(&before) {
            return;
        }
        sleep((interval / LOOKS_PER_INTERVAL).min(LONGEST_BETWEEN_LOOKS)).await;
        let Some(now) = self.look().await else {
            return;
        };
        self.take_files(&before, &now, false).await;
        if now.has_text_of(&before) {
            self.take_text(&now, false).await;
        }
    }

    /// Takes new contents of the files that the configuration in force names.
    async fn reread_files(&mut self) {
        if self.in_force.files().is_empty() {
            return;
        }
        let Some(before) = self.look().await else {
            return;
        };
        if before.files.changed {
            sleep(BETWEEN_LOOKS).await;
            if let Some(now) = self.look().await {
                self.take_files(&before, &now, false).await;
            }
        }
    }

    /// Notifies the service manager of the end of a reload that was announced.
    fn end_notice(&mut self) {
        let targets = targets_in_force(self.in_force.config()).len();
        self.notices.end(targets, !self.refused.is_empty());
    }

    async fn look(&mut self) -> Option<Look> {
        let in_force = &self.in_force;
        self.looks.look(&in_force.text, in_force.files()).await
    }

    /// Whether a look found something else than what is in force and known to be wrong.
    fn is_news(&self, look: &Look) -> bool {
        let is_in_force = look.text.as_ref().is_ok_and(|it| *it == self.in_force.text);
        look.files.changed
            || self.state.has_other_stale_files(&look.files.stale)
            || !is_in_force
            || !self.refused.is_empty()
    }
}
