//! Takes a changed configuration, and changed contents of the files that it names, while the relay runs.
//!
//! Two levels end in the same step, [`LiveParts::apply`]:
//!
//! - The *files that the configuration in force names* (`${file:PATH}`) are read again, whatever the state of the
//!   configuration file. A file that cannot be used keeps its last good content.
//! - The *configuration file* is compared by its content. It changes all or nothing: with a fault the configuration in force
//!   stays.
//!
//! A content is taken once two looks in a row have found the same, so that a file that is being written is not taken.

mod live_parts;
mod look;
mod requests;
mod state;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use pyrotee_admin::json::reload::ReloadReport;
use pyrotee_config::{Config, ConfigText, FileContents, Loaded, Loader};
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

pub(crate) use live_parts::{LiveParts, targets_in_force};
use look::{Look, Looks};
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

/// Changes the relay as its configuration changes.
#[derive(Debug)]
pub(crate) struct Reloader {
    looks: Looks,
    in_force: InForce,
    /// The faults of the configuration file as it is; empty if it is the one in force.
    refused: Vec<String>,
    parts: LiveParts,
    state: Arc<ReloadState>,
    requests: Requests,
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
        parts: LiveParts,
        state: Arc<ReloadState>,
        requests: Requests,
    ) -> Self {
        Self {
            looks: Looks::new(loader),
            in_force,
            refused: Vec::new(),
            parts,
            state,
            requests,
        }
    }

    /// Reloads when somebody asks, at each `hangup`, and by itself at each `reload.interval`, until `stop`.
    pub(crate) async fn run(mut self, mut hangup: Signal, stop: CancellationToken) {
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
                    last_look = Instant::now();
                }
            }
        }
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Reload { by, reply } => {
                let report = self.reload(by).await;
                // The client may have gone.
                reply.send(report).ok();
            }
            Request::RereadFiles(reply) => {
                self.reread_files().await;
                reply.send(()).ok();
            }
        }
    }

    /// Takes the configuration file and the files that it names as soon as two looks agree.
    async fn reload(&mut self, by: &'static str) -> ReloadReport {
        tracing::info!(by, "reloading the configuration");
        let mut before = self.look().await;
        for _ in 0..MOST_LOOKS {
            sleep(BETWEEN_LOOKS).await;
            let now = self.look().await;
            if let (Some(before), Some(now)) = (&before, &now)
                && before.agrees_with(now)
            {
                let rotated = self.take_files(before, now, true).await;
                let taken = self.take_text(now, true).await;
                return self.report(rotated.and(taken));
            }
            before = now;
        }
        let fault =
            "the configuration changes while it is read, or its disk does not answer: try again";
        self.refuse(vec![fault.to_owned()]);
        self.report(steps::Step::Refused)
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
