//! Opens the queues of some targets in a spool, as a relay does, and leaves those of other targets as they are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use pyrotee_queue::{Budget, Consumer, Ledger, Limits, WhenFull};
use pyrotee_segments::inspect::{Directory, Membership, Survey};
use pyrotee_spool::{Closer, Control, Settings};
use tokio::time::Instant;

use super::{UsageError, in_words};

/// No limit: nothing is offered here.
const UNLIMITED: Limits = Limits {
    records: usize::MAX,
    bytes: u64::MAX,
    when_full: WhenFull::DropNewest,
};

/// More than any spool has.
const NO_LIMIT: u64 = 1 << 60;

/// How long the disk may take to save what was settled.
pub(super) const CLOSING: Duration = Duration::from_secs(60);

/// A spool that this process has locked.
pub(super) struct LockedSpool {
    /// The queues of the targets that were asked for, in their order.
    pub(super) queues: Vec<TargetQueue>,
    pub(super) control: Control,
    pub(super) closer: Closer,
}

/// The queue of one target.
pub(super) struct TargetQueue {
    pub(super) target: String,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) ledger: Arc<Ledger>,
}

/// Reads what the directory holds, without opening it.
pub(super) fn survey(dir: &Path) -> anyhow::Result<Survey> {
    let survey = Directory::at(dir).survey();
    survey.map_err(|error| in_words(error.into()))
}

/// Opens the spool for the targets of these names. Other targets that were configured last are opened as well
/// and left alone; removed targets keep their profiles, however long ago they were removed.
///
/// # Errors
/// A relay has locked the spool, or the spool cannot be used; `instead` tells how to ask that relay.
pub(super) fn open(
    dir: &Path,
    survey: &Survey,
    names: &[String],
    budget: &Arc<Budget>,
    instead: &str,
) -> anyhow::Result<LockedSpool> {
    let configured = survey.targets.iter();
    let configured = configured.filter(|it| it.membership == Membership::Configured);
    let others = configured
        .map(|it| &it.name)
        .filter(|name| !names.contains(name));
    let all: Vec<_> = names.iter().chain(others).collect();
    let ledgers: Vec<_> = all.iter().map(|_| Arc::<Ledger>::default()).collect();
    let targets = all.into_iter().zip(&ledgers);
    let targets = targets.map(|(name, ledger)| (name.clone(), UNLIMITED, Arc::clone(ledger)));
    let settings = Settings {
        max_bytes: NO_LIMIT,
        index_bytes: NO_LIMIT,
        keep_removed_for: Duration::MAX,
        ..Settings::new(dir)
    };
    let spool = settings.start(targets, budget);
    if let Err(reason) = spool.monitor.wait_until_open() {
        // Unlocks the directory, so that another process can be told apart from this one.
        close(spool.closer)?;
        let is_in_use = Directory::at(dir)
            .survey()
            .is_ok_and(|survey| survey.in_use);
        if is_in_use {
            bail!(
                "{} is in use by a relay: ask that one, `{instead}`, or stop it first",
                dir.display()
            );
        }
        return Err(anyhow!(reason).context("failed to open the spool"));
    }
    // A consumer without a producer ends at an empty queue.
    drop(spool.producer);
    let queues = names.iter().zip(spool.consumers).zip(ledgers);
    let queues = queues.map(|((name, consumer), ledger)| TargetQueue {
        target: name.clone(),
        consumer,
        ledger,
    });
    Ok(LockedSpool {
        queues: queues.collect(),
        control: spool.control,
        closer: spool.closer,
    })
}

/// Closes a spool, so that the next process finds what this one has settled.
///
/// # Errors
/// The disk did not save that in time.
pub(super) fn close(closer: Closer) -> anyhow::Result<()> {
    if !closer.close((Instant::now() + CLOSING).into_std()) {
        bail!("the disk did not save in {CLOSING:?} what was settled: it may be delivered again");
    }
    Ok(())
}

/// Checks that the spool has a queue for the target of this name.
///
/// # Errors
/// It has none; the text lists the targets that it has.
pub(super) fn check_target(survey: &Survey, name: &str) -> anyhow::Result<()> {
    if survey.targets.iter().any(|it| it.name == name) {
        return Ok(());
    }
    let known: Vec<_> = survey.targets.iter().map(|it| &*it.name).collect();
    let known = known.join(", ");
    Err(UsageError(format!(
        "no target `{name}` in this spool; there are: {known}"
    ))
    .into())
}
