//! One record after the other goes to an address; what is not taken stays where it is.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytesize::ByteSize;
use pyrotee_queue::{Budget, Consumer, Counts, History, Lease, Record, Tally, Wanted};
use pyrotee_spool::inspect::{Directory, InspectError, Select};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::open::{known, open, survey};
use super::super::{Ended, failed_to};
use super::upload::{Destination, Failure, Pace};
use crate::terminal::{ProgressDisplay, Unit, print};

/// After a failure, before the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Longer than any run: a refused record is not leased again by this one.
const ASIDE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Records of damaged segments that are read ahead.
const AHEAD: usize = 2;

pub(super) struct Uploads {
    destination: Destination,
    pace: Pace,
    failures: u32,
    /// Failures since the last success.
    in_a_row: u32,
    sent: Tally,
    refused: u64,
    /// What was said first of a record that was refused.
    first_refusal: Option<String>,
    /// No further record.
    stop: CancellationToken,
}

/// What becomes of one record.
enum Fate {
    Sent,
    Refused,
    Again,
}

impl Uploads {
    pub(super) fn new(destination: Destination, pace: Pace, failures: NonZeroU32) -> Self {
        Self {
            destination,
            pace,
            failures: failures.get(),
            in_a_row: 0,
            sent: Tally::default(),
            refused: 0,
            first_refusal: None,
            stop: CancellationToken::new(),
        }
    }

    /// Sends what waits for a target.
    pub(super) async fn pending(mut self, dir: &Path, target: String) -> anyhow::Result<Ended> {
        let survey = survey(dir)?;
        known(&survey, &target)?;
        let instead = format!("pyrotee spool replay --admin ADDR --from {target} --to NEW");
        // One record at a time: the budget is for whoever has several.
        let budget = Budget::new(u64::MAX);
        let opened = open(dir, &survey, &[target], &budget, &instead)?;
        let Some(target) = opened.targets.into_iter().next() else {
            bail!("no target was opened, which is a bug");
        };
        let counts = || target.ledger.snapshot();
        let progress = ProgressDisplay::new("replay", Unit::Profiles, counts().pending.profiles);
        let stop = self.stop.clone();
        let sending = self.send_all(&*target.consumer, &counts, &progress);
        let result = until_interrupted(&stop, sending).await;
        drop(progress);
        // It waits for the disk, and nobody else for this thread.
        opened.keeper.close();
        let left = counts().pending.profiles;
        let corrupt = counts().dropped(pyrotee_queue::Reason::Corrupt).profiles;
        self.report(result, left, corrupt)
    }

    async fn send_all(
        &mut self,
        consumer: &dyn Consumer,
        counts: &impl Fn() -> Counts,
        progress: &ProgressDisplay,
    ) -> anyhow::Result<()> {
        while counts().pending.profiles > self.refused {
            let Some(lease) = consumer.lease(&Wanted::ANY).await else {
                break;
            };
            if !self.may_go(lease.record().len()).await {
                break;
            }
            let fate = self.send(lease.record()).await?;
            progress.add(u64::from(!matches!(fate, Fate::Again)));
            settle(lease, &fate);
        }
        Ok(())
    }

    /// Sends what is whole in damaged segments, which stay.
    pub(super) async fn quarantined(
        mut self,
        dir: PathBuf,
        files: Vec<PathBuf>,
    ) -> anyhow::Result<Ended> {
        let names: Vec<_> = files.iter().filter_map(|it| it.file_name()).collect();
        let names: Vec<_> = names
            .into_iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        for name in &names {
            if !dir.join(name).exists() || !name.ends_with(".corrupt") {
                bail!(
                    "{} has no damaged segment {name}: see its *.corrupt files",
                    dir.display()
                );
            }
        }
        let lengths = names
            .iter()
            .filter_map(|name| dir.join(name).metadata().ok());
        let progress =
            ProgressDisplay::new("replay", Unit::Bytes, lengths.map(|it| it.len()).sum());
        let stop = self.stop.clone();
        let (sender, mut records) = mpsc::channel(AHEAD);
        let reading = tokio::task::spawn_blocking(move || read(&dir, &names, &sender));
        let sending = async {
            while let Some(record) = records.recv().await {
                let record: Arc<Record> = record;
                let mut fate = Fate::Again;
                while matches!(fate, Fate::Again) {
                    if !self.may_go(record.len()).await {
                        return Ok(());
                    }
                    fate = self.send(&record).await?;
                }
                progress.add(record.len());
            }
            anyhow::Ok(())
        };
        let result = until_interrupted(&stop, sending).await;
        drop(records);
        drop(progress);
        let damaged = reading.await.context("reading ended")?;
        let result = result.and_then(|ended| damaged.map(|damaged| (ended, damaged)));
        let (result, damaged) = match result {
            Ok((ended, damaged)) => (Ok(ended), damaged),
            Err(error) => (Err(error), 0),
        };
        let refused = self.refused;
        self.report(result, refused, damaged)
    }

    /// Waits until the next record may go; `false` if none shall.
    async fn may_go(&mut self, bytes: u64) -> bool {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = self.pace.wait(bytes) => true,
        }
    }

    /// Sends one record.
    ///
    /// # Errors
    /// Too many have failed in a row: why the last one did.
    async fn send(&mut self, record: &Record) -> anyhow::Result<Fate> {
        let (why, fate) = match self.destination.upload(record).await {
            Ok(()) => {
                self.in_a_row = 0;
                self.sent.profiles += 1;
                self.sent.bytes += record.len();
                return Ok(Fate::Sent);
            }
            Err(Failure::Refused(why)) => (why, Fate::Refused),
            Err(Failure::Failed(why)) => (why, Fate::Again),
        };
        self.in_a_row += 1;
        if self.in_a_row >= self.failures {
            let (address, times) = (&self.destination.address, self.in_a_row);
            bail!(
                "{address} failed {times} times in a row, last with: {why}; check --to and its log, and run this again"
            );
        }
        match fate {
            Fate::Refused => {
                self.refused += 1;
                self.first_refusal.get_or_insert(why);
            }
            _ => {
                let stop = self.stop.cancelled();
                tokio::select! {
                    () = stop => {}
                    () = sleep(PAUSE) => {}
                }
            }
        }
        Ok(fate)
    }

    fn report(
        &self,
        result: anyhow::Result<Interrupted>,
        left: u64,
        corrupt: u64,
    ) -> anyhow::Result<Ended> {
        let (profiles, bytes) = (self.sent.profiles, ByteSize(self.sent.bytes));
        let bytes = bytes.display().iec();
        let mut text = format!("sent {profiles} profiles, {bytes}; {left} are left\n");
        if let Some(why) = &self.first_refusal {
            let refused = self.refused;
            text.push_str(&format!(
                "{refused} were refused and stay; the first with: {why}\n"
            ));
        }
        if corrupt > 0 {
            text.push_str(&format!("{corrupt} are damaged and cannot be sent\n"));
        }
        print(&text)?;
        let interrupted = result?;
        Ok(match (interrupted, left + corrupt) {
            (Interrupted(false), 0) => Ended::Well,
            _ => Ended::Badly,
        })
    }
}

fn settle(lease: Lease, fate: &Fate) {
    match fate {
        Fate::Sent => lease.ack(),
        Fate::Refused => lease.retry(Instant::now() + ASIDE, History::default()),
        Fate::Again => drop(lease),
    }
}

/// Ctrl-C came.
struct Interrupted(bool);

/// Lets `work` go on until it ends. Ctrl-C has it end after the record that is under way; another one
/// at once, and then nobody knows whether that one was taken.
async fn until_interrupted(
    stop: &CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Interrupted> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result.map(|()| Interrupted(stop.is_cancelled())),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("failed to listen for Ctrl-C")?;
                if stop.is_cancelled() {
                    return Ok(Interrupted(true));
                }
                stop.cancel();
            }
        }
    }
}

/// Reads what is whole in damaged segments; how much is not.
fn read(dir: &Path, names: &[String], sender: &mpsc::Sender<Arc<Record>>) -> anyhow::Result<u64> {
    let budget = Budget::new(u64::MAX);
    let mut damaged = 0;
    /// Why the reading ends.
    enum End {
        Failed(InspectError),
        Read(anyhow::Error),
        /// Nobody wants more.
        Enough,
    }
    impl From<InspectError> for End {
        fn from(error: InspectError) -> Self {
            Self::Failed(error)
        }
    }
    let read = Directory::at(dir).each(Select::Quarantined, |stored| {
        if !names.contains(&stored.file) {
            return Ok(());
        }
        let read = stored.read(&budget).map_err(|error| {
            End::Read(anyhow!(
                "failed to read {} in {}: {error}",
                stored.number,
                stored.file
            ))
        })?;
        match read {
            Some(record) => sender.blocking_send(record).map_err(|_| End::Enough)?,
            None => damaged += 1,
        }
        Ok(())
    });
    match read {
        Ok(()) | Err(End::Enough) => Ok(damaged),
        Err(End::Failed(error)) => failed_to(Err(error)),
        Err(End::Read(error)) => Err(error),
    }
}
