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

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    reason: Reason,
    /// `None`: the line is about several targets.
    target: Option<String>,
    /// The number of targets, if there are several.
    targets: Option<usize>,
    /// Dropped since the line before.
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
        let mut due: BTreeMap<usize, Vec<Line>> = BTreeMap::new();
        let mut logged = lock(&self.logged);
        for target in self.targets.load() {
            let view = &target.view;
            let logged = logged.entry(view.name.clone()).or_default();
            for (reason, dropped) in drops_due(logged, &view.counts(), is_last) {
                due.entry(reason as usize).or_default().push(Line {
                    reason,
                    target: Some(view.name.clone()),
                    targets: None,
                    dropped,
                });
            }
        }
        drop(logged);
        let lines = due.into_values().flat_map(shortened);
        lines.for_each(|line| line.log());
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

/// The lines about one reason, or one line with their sum if they are more than [`MOST_LINES`].
fn shortened(lines: Vec<Line>) -> Vec<Line> {
    match lines.first() {
        Some(first) if lines.len() > MOST_LINES => vec![Line {
            reason: first.reason,
            target: None,
            targets: Some(lines.len()),
            dropped: lines.iter().map(|line| line.dropped).sum(),
        }],
        _ => lines,
    }
}

impl Line {
    fn log(&self) {
        let Tally { profiles, bytes } = self.dropped;
        let (reason, remedy) = (self.reason.as_str(), self.reason.remedy());
        let (target, targets) = (self.target.as_deref(), self.targets);
        let message = "dropped profiles";
        if is_expected(self.reason) {
            tracing::info!(
                target,
                targets,
                reason,
                profiles,
                bytes,
                remedy,
                "{message}"
            );
        } else {
            tracing::warn!(
                target,
                targets,
                reason,
                profiles,
                bytes,
                remedy,
                "{message}"
            );
        }
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

    #[test]
    fn many_targets_that_drop_for_one_reason_have_one_line_with_their_sum() {
        let line = |number: usize| Line {
            reason: Reason::TooLarge,
            target: Some(format!("target-{number}")),
            targets: None,
            dropped: Tally::of(7),
        };
        let few: Vec<_> = (0..MOST_LINES).map(line).collect();
        assert_eq!(shortened(few.clone()), few);
        let many = shortened((0..=MOST_LINES).map(line).collect());
        let sum = Tally {
            profiles: 21,
            bytes: 147,
        };
        assert_eq!(many.len(), 1);
        assert_eq!(
            (many[0].targets, many[0].dropped, &many[0].target),
            (Some(21), sum, &None)
        );
    }
}
