//! Opens the queues of some targets in a spool, as a relay does, and does not change the queues of other targets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use pyrotee_queue::{Budget, Consumer, Ledger, Limits, WhenFull};
use pyrotee_segments::inspect::{Directory, Membership, Survey};
use pyrotee_spool::{Closer, Control, Settings};
use tokio::time::Instant;

use super::in_words;
use crate::commands::UsageError;

/// Limits of the queues: none, because nothing is offered to them.
const UNLIMITED: Limits = Limits {
    records: usize::MAX,
    bytes: u64::MAX,
    when_full: WhenFull::DropNewest,
};

/// Number of bytes that no spool reaches.
const NO_LIMIT: u64 = 1 << 60;

/// How long the disk may take to save which records were settled.
pub(super) const CLOSING: Duration = Duration::from_secs(60);

/// A spool that this process has locked.
pub(super) struct LockedSpool {
    /// The queues of the named targets, in the order of the names.
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

/// Reads the contents of the directory, without opening the spool.
pub(super) fn survey(dir: &Path) -> anyhow::Result<Survey> {
    let survey = Directory::at(dir).survey();
    survey.map_err(|error| in_words(error.into()))
}

/// Opens the spool for the targets of these names. Other targets of the last configuration are opened as well and not
/// changed; removed targets keep their profiles, however long ago they were removed.
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
    let targets = all.into_iter().map(|name| pyrotee_queue::TargetQueue {
        name: name.clone(),
        limits: UNLIMITED,
        ledger: Arc::default(),
        sharing: None,
    });
    let settings = Settings {
        max_bytes: NO_LIMIT,
        index_bytes: NO_LIMIT,
        keep_removed_for: Duration::MAX,
        ..Settings::new(dir)
    };
    let spool = settings.start(targets, budget);
    if let Err(reason) = spool.monitor.wait_until_open() {
        // Closing unlocks the directory. If the directory is in use after that, another process uses it.
        close(spool.closer)?;
        let is_in_use = Directory::at(dir)
            .survey()
            .is_ok_and(|survey| survey.in_use);
        if is_in_use {
            bail!(
                "{} is in use by a relay: ask that relay with `{instead}`, or stop it first",
                dir.display()
            );
        }
        return Err(anyhow!(reason).context("failed to open the spool"));
    }
    // A consumer without a producer ends at an empty queue.
    drop(spool.producer);
    let queues = names.iter().zip(spool.queues);
    let queues = queues.map(|(name, queue)| TargetQueue {
        target: name.clone(),
        consumer: queue.consumer,
        ledger: queue.ledger,
    });
    Ok(LockedSpool {
        queues: queues.collect(),
        control: spool.control,
        closer: spool.closer,
    })
}

/// Closes a spool, and saves which records were settled for the next process.
///
/// # Errors
/// The disk did not save within [`CLOSING`].
pub(super) fn close(closer: Closer) -> anyhow::Result<()> {
    if !closer.close((Instant::now() + CLOSING).into_std()) {
        let within = humantime::format_duration(CLOSING);
        bail!("the disk did not save within {within}: settled profiles may be delivered again");
    }
    Ok(())
}

/// Checks that the spool has a queue for the target of this name.
///
/// # Errors
/// The spool has no such queue; the text lists the targets that have one.
pub(super) fn check_target(survey: &Survey, name: &str) -> anyhow::Result<()> {
    if survey.targets.iter().any(|it| it.name == name) {
        return Ok(());
    }
    let known = survey.targets.iter().map(|it| &*it.name);
    Err(UsageError::unknown_target(name, "this spool", known).into())
}
