//! Takes a spool as a relay does, for one or some of its targets, and leaves it as it was for the others.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use pyrotee_queue::{Budget, Consumer, Ledger, Limits, WhenFull};
use pyrotee_spool::inspect::{Directory, Membership, Survey};
use pyrotee_spool::{Closer, Control, OpenError, Settings};

use super::{Misused, failed_to};

/// Nothing is offered here, so that no limit can be met.
const ROOMY: Limits = Limits {
    records: usize::MAX,
    bytes: u64::MAX,
    when_full: WhenFull::DropNewest,
};

/// More than any spool has.
const NO_LIMIT: u64 = 1 << 60;

/// A spool that this process has.
pub(super) struct Opened {
    /// The targets that were asked for, in their order.
    pub(super) targets: Vec<Opening>,
    pub(super) control: Control,
    pub(super) closer: Closer,
}

/// What waits for one target.
pub(super) struct Opening {
    pub(super) name: String,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) ledger: Arc<Ledger>,
}

/// What the directory holds, for whoever is about to open it.
pub(super) fn survey(dir: &Path) -> anyhow::Result<Survey> {
    failed_to(Directory::at(dir).survey())
}

/// Opens it for the targets of these names. Others that were configured last are opened as well and left
/// alone; removed ones are not given up, however long they have been away.
///
/// # Errors
/// A relay has it, or it cannot be used; `instead` tells how to ask that relay.
pub(super) fn open(
    dir: &Path,
    survey: &Survey,
    names: &[String],
    budget: &Arc<Budget>,
    instead: &str,
) -> anyhow::Result<Opened> {
    let configured = survey.targets.iter();
    let configured = configured.filter(|it| it.membership == Membership::Configured);
    let others = configured
        .map(|it| &it.name)
        .filter(|name| !names.contains(name));
    let all: Vec<_> = names.iter().chain(others).collect();
    let ledgers: Vec<_> = all.iter().map(|_| Arc::<Ledger>::default()).collect();
    let targets = all.into_iter().zip(&ledgers);
    let targets = targets.map(|(name, ledger)| (name.clone(), ROOMY, Arc::clone(ledger)));
    let settings = Settings {
        max_bytes: NO_LIMIT,
        index_bytes: NO_LIMIT,
        keep_removed_for: Duration::MAX,
        ..Settings::new(dir)
    };
    let spool = settings
        .open(targets, budget)
        .map_err(|error| match error {
            OpenError::Locked { dir } => anyhow!(
                "{} is in use by a relay: ask that one, `{instead}`, or stop it first",
                dir.display()
            ),
            error => anyhow!(error).context("failed to open the spool"),
        })?;
    // Nothing more comes: what waits is all there is. Dropping the producer says so.
    drop(spool.producer);
    let targets = names.iter().zip(spool.consumers).zip(ledgers);
    let targets = targets.map(|((name, consumer), ledger)| Opening {
        name: name.clone(),
        consumer,
        ledger,
    });
    Ok(Opened {
        targets: targets.collect(),
        control: spool.control,
        closer: spool.closer,
    })
}

/// The target of this name, if something waits for it or did last.
///
/// # Errors
/// There is none; the text lists those that there are.
pub(super) fn known(survey: &Survey, name: &str) -> anyhow::Result<()> {
    if survey.targets.iter().any(|it| it.name == name) {
        return Ok(());
    }
    let known: Vec<_> = survey.targets.iter().map(|it| &*it.name).collect();
    let known = known.join(", ");
    Err(Misused(format!(
        "no target `{name}` in this spool; there are: {known}"
    ))
    .into())
}
