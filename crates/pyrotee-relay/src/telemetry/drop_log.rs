//! Logs dropped profiles, whatever part of the relay drops them.
//!
//! All drops are counted in the ledgers of the targets. A background task compares the ledgers with what was logged, so
//! that neither the request path nor a backend of the queues has to log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use pyrotee_queue::{Counts, LOG_INTERVAL, Reason, Tally, lock};
use tokio::time::{Instant, sleep};

use crate::targets::ScrapedTargets;

/// Interval of the looks at the ledgers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most lines about one reason in one look: above this number of targets one line has the sum of all targets.
const MOST_LINES: usize = 20;

/// Logs the drops of all targets: the first of each target and reason within [`LOOK_EVERY`], then one line per
/// [`LOG_INTERVAL`] with the number of profiles and bytes since the line before.
#[derive(Debug)]
pub(crate) struct DropLog {
    targets: ScrapedTargets,
    /// By the name of the target, whose ledger lives as long as the process.
    logged: Mutex<HashMap<String, LoggedDrops>>,
}

/// The drops of one target that are logged.
type LoggedDrops = HashMap<Reason, Logged>;

#[derive(Debug)]
struct Logged {
    /// All drops up to the last line.
    dropped: Tally,
    at: Instant,
}

/// The drops of one target for one reason since the last line about them.
#[derive(Debug, PartialEq, Eq)]
struct Drops {
    target: String,
    dropped: Tally,
}

impl DropLog {
    pub(crate) fn new(targets: ScrapedTargets) -> Self {
        Self {
            targets,
            logged: Mutex::default(),
        }
    }

    /// Looks at the ledgers again and again.
    pub(crate) async fn run(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            self.look(false);
        }
    }

    /// Logs the drops that no line has told yet, when the relay stops.
    pub(crate) fn last_look(&self) {
        self.look(true);
    }

    fn look(&self, is_last: bool) {
        let mut due = BTreeMap::new();
        let mut logged = lock(&self.logged);
        for target in self.targets.load() {
            let view = &target.view;
            let logged = logged.entry(view.name.clone()).or_default();
            for (reason, dropped) in drops_due(logged, &view.counts(), is_last) {
                let target = view.name.clone();
                let of_reason: &mut Vec<_> = due.entry(reason as usize).or_default();
                of_reason.push((reason, Drops { target, dropped }));
            }
        }
        drop(logged);
        for of_reason in due.into_values() {
            log(of_reason);
        }
    }
}

/// The drops of a target that are to be logged now, which are then noted as logged.
fn drops_due(logged: &mut LoggedDrops, counts: &Counts, is_last: bool) -> Vec<(Reason, Tally)> {
    let now = Instant::now();
    let due = |reason: Reason| {
        let dropped = counts.dropped(reason);
        let last = logged.get(&reason);
        let before = last.map(|last| last.dropped).unwrap_or_default();
        let new = Tally {
            profiles: dropped.profiles.saturating_sub(before.profiles),
            bytes: dropped.bytes.saturating_sub(before.bytes),
        };
        let is_recent = last.is_some_and(|last| now.duration_since(last.at) < LOG_INTERVAL);
        if new.profiles == 0 || is_recent && !is_last {
            return None;
        }
        logged.insert(reason, Logged { dropped, at: now });
        Some((reason, new))
    };
    // The summary of each target at the end of a run has the drops for a shutdown.
    let reasons = Reason::ALL.into_iter();
    reasons
        .filter(|reason| *reason != Reason::Shutdown)
        .filter_map(due)
        .collect()
}

/// Logs drops for one reason.
fn log(drops: Vec<(Reason, Drops)>) {
    if drops.len() <= MOST_LINES {
        for (reason, Drops { target, dropped }) in drops {
            log_line(reason, dropped, Some(&target), None);
        }
        return;
    }
    let targets = drops.len();
    let sum = drops.iter().map(|(_, drops)| drops.dropped).sum();
    if let Some((reason, _)) = drops.first() {
        log_line(*reason, sum, None, Some(targets));
    }
}

fn log_line(reason: Reason, dropped: Tally, target: Option<&str>, targets: Option<usize>) {
    let Tally { profiles, bytes } = dropped;
    let (name, remedy) = (reason.as_str(), reason.remedy());
    if is_expected(reason) {
        tracing::info!(
            target,
            targets,
            reason = name,
            profiles,
            bytes,
            remedy,
            "dropped profiles"
        );
    } else {
        tracing::warn!(
            target,
            targets,
            reason = name,
            profiles,
            bytes,
            remedy,
            "dropped profiles"
        );
    }
}

/// Whether nothing was lost that was still wanted: an operator caused the drops, or the target gets the profiles anyway.
fn is_expected(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Admin | Reason::TargetRemoved | Reason::Duplicate
    )
}

#[cfg(test)]
mod tests {
    use pyrotee_queue::Ledger;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_drop_of_each_reason_is_logged_and_then_the_sum_of_ten_seconds() {
        let (ledger, mut logged) = (Ledger::default(), LoggedDrops::default());
        let mut look = |is_last| drops_due(&mut logged, &ledger.snapshot(), is_last);
        let tally = |profiles, bytes| Tally { profiles, bytes };
        assert_eq!(look(false), []);
        ledger.refuse(10, Reason::QueueFull);
        assert_eq!(look(false), [(Reason::QueueFull, tally(1, 10))]);
        ledger.refuse(20, Reason::QueueFull);
        ledger.refuse(30, Reason::Expired);
        assert_eq!(look(false), [(Reason::Expired, tally(1, 30))]);
        ledger.refuse(40, Reason::QueueFull);
        advance(LOG_INTERVAL - LOOK_EVERY).await;
        assert_eq!(look(false), []);
        advance(LOOK_EVERY).await;
        assert_eq!(look(false), [(Reason::QueueFull, tally(2, 60))]);
        advance(LOG_INTERVAL).await;
        assert_eq!(look(false), [], "nothing new");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_look_logs_the_rest_but_drops_for_a_shutdown() {
        let (ledger, mut logged) = (Ledger::default(), LoggedDrops::default());
        let mut look = |is_last| drops_due(&mut logged, &ledger.snapshot(), is_last);
        let one = Tally::of(7);
        for reason in Reason::ALL {
            ledger.refuse(7, reason);
        }
        let first = look(false);
        assert_eq!(first.len(), Reason::ALL.len() - 1);
        assert!(first.iter().all(|(reason, _)| *reason != Reason::Shutdown));
        for reason in [Reason::Budget, Reason::Shutdown] {
            ledger.refuse(7, reason);
        }
        assert_eq!(look(false), []);
        assert_eq!(look(true), [(Reason::Budget, one)]);
        assert_eq!(look(true), []);
    }
}
