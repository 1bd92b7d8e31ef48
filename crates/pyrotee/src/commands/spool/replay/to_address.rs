//! Sends one record after the other to an address. A record that is not accepted stays in the spool.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use pyrotee_client::{PyroscopeClient, UploadError};
use pyrotee_queue::{
    Budget, Consumer, Counts, Lease, LeaseFilter, Reason, Record, RetryHistory, Tally,
};
use pyrotee_segments::inspect::{Directory, Selection};
use pyrotee_terminal::{ProgressDisplay, Unit, counted, print, size};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::export::read_record;
use super::super::queues::{check_target, close, open, survey};
use super::super::{exit_code, in_words};
use super::pacer::Pacer;
use super::request::request;

/// Pause between a failed upload and the next upload.
const PAUSE: Duration = Duration::from_secs(1);

/// Backoff of a rejected record: longer than any run, so that this run does not lease it again.
const REJECTED_BACKOFF: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Records of damaged segments that are read ahead.
const READ_AHEAD: usize = 2;

/// One replay to one address, and its counts.
pub(super) struct AddressReplay {
    client: PyroscopeClient,
    pacer: Pacer,
    /// Failures in a row that end the replay.
    max_failures: u32,
    /// Failures since the last success.
    failures: u32,
    sent: Tally,
    rejected: u64,
    /// The text of the first rejection.
    first_rejection: Option<String>,
    /// Cancelled by the first Ctrl-C: no further record is sent.
    stop: CancellationToken,
}

/// Result of one upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UploadResult {
    Sent,
    /// The server does not take this record.
    Rejected,
    /// The record may be sent again.
    Failed,
}

impl AddressReplay {
    pub(super) fn new(client: PyroscopeClient, pacer: Pacer, max_failures: NonZeroU32) -> Self {
        Self {
            client,
            pacer,
            max_failures: max_failures.get(),
            failures: 0,
            sent: Tally::default(),
            rejected: 0,
            first_rejection: None,
            stop: CancellationToken::new(),
        }
    }

    /// Sends the pending records of a target.
    pub(super) async fn pending(mut self, dir: &Path, target: String) -> anyhow::Result<ExitCode> {
        let survey = survey(dir)?;
        check_target(&survey, &target)?;
        let instead = format!("pyrotee spool replay --admin ADDR --from {target} --to NEW");
        // One record at a time: the budget need not limit how many are in memory.
        let budget = Budget::new(u64::MAX);
        let spool = open(dir, &survey, &[target], &budget, &instead)?;
        let Some(queue) = spool.queues.into_iter().next() else {
            bail!("no target was opened, which is a bug");
        };
        let counts = || queue.ledger.snapshot();
        let progress = ProgressDisplay::new("replay", Unit::Profiles, counts().pending.profiles);
        let stop = self.stop.clone();
        let sending = self.send_pending(&*queue.consumer, &counts, &progress);
        let result = until_interrupted(&stop, sending).await;
        drop(progress);
        // Blocks this thread while the disk saves; no other task needs the thread.
        close(spool.closer)?;
        let left = counts().pending.profiles;
        let corrupt = counts().dropped(Reason::Corrupt).profiles;
        self.report(result, left, corrupt)
    }

    async fn send_pending(
        &mut self,
        consumer: &dyn Consumer,
        counts: &impl Fn() -> Counts,
        progress: &ProgressDisplay,
    ) -> anyhow::Result<()> {
        while counts().pending.profiles > self.rejected {
            let Some(lease) = consumer.lease(&LeaseFilter::ANY).await else {
                break;
            };
            if !self.may_send(lease.record().len()).await {
                break;
            }
            let upload = self.send(lease.record()).await?;
            progress.add(u64::from(upload != UploadResult::Failed));
            settle(lease, upload);
        }
        Ok(())
    }

    /// Sends the whole records of damaged segments. The segments stay.
    pub(super) async fn quarantined(
        mut self,
        dir: PathBuf,
        files: Vec<PathBuf>,
    ) -> anyhow::Result<ExitCode> {
        let names = files.iter().filter_map(|it| it.file_name());
        let names: Vec<_> = names.map(|it| it.to_string_lossy().into_owned()).collect();
        for name in &names {
            ensure!(
                dir.join(name).exists() && name.ends_with(".corrupt"),
                "{} has no damaged segment {name}: see its *.corrupt files",
                dir.display()
            );
        }
        let files = names.iter().map(|name| dir.join(name).metadata());
        let bytes = files.flatten().map(|file| file.len()).sum();
        let progress = ProgressDisplay::new("replay", Unit::Bytes, bytes);
        let stop = self.stop.clone();
        let (sender, mut records) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || read(&dir, &names, &sender));
        let sending = self.send_all(&mut records, &progress);
        let result = until_interrupted(&stop, sending).await;
        drop((records, progress));
        let damaged = reading.await.context("reading ended")?;
        let (result, damaged) = match (result, damaged) {
            (Ok(end), Ok(damaged)) => (Ok(end), damaged),
            (Err(error), _) | (_, Err(error)) => (Err(error), 0),
        };
        let rejected = self.rejected;
        self.report(result, rejected, damaged)
    }

    async fn send_all(
        &mut self,
        records: &mut mpsc::Receiver<Arc<Record>>,
        progress: &ProgressDisplay,
    ) -> anyhow::Result<()> {
        while let Some(record) = records.recv().await {
            let mut upload = UploadResult::Failed;
            while upload == UploadResult::Failed {
                if !self.may_send(record.len()).await {
                    return Ok(());
                }
                upload = self.send(&record).await?;
            }
            progress.add(record.len());
        }
        Ok(())
    }

    /// Waits until the next record may be sent; `false` after Ctrl-C.
    async fn may_send(&mut self, bytes: u64) -> bool {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = self.pacer.wait(bytes) => true,
        }
    }

    /// Sends one record.
    ///
    /// # Errors
    /// Too many records failed in a row: the text has the last failure.
    async fn send(&mut self, record: &Record) -> anyhow::Result<UploadResult> {
        let (upload, error) = match self.upload(record).await {
            Ok(()) => {
                self.failures = 0;
                self.sent.profiles += 1;
                self.sent.bytes += record.len();
                return Ok(UploadResult::Sent);
            }
            Err(UploadError::Rejected(error)) => (UploadResult::Rejected, error),
            Err(UploadError::Failed(error)) => (UploadResult::Failed, error),
        };
        self.failures += 1;
        if self.failures >= self.max_failures {
            let (address, times) = (self.client.address(), self.failures);
            bail!(
                "{address} failed {times} times in a row, last with: {error}; check --to and the server's log, and run the command again"
            );
        }
        if upload == UploadResult::Rejected {
            self.rejected += 1;
            self.first_rejection.get_or_insert(error.to_string());
        } else {
            let stop = self.stop.cancelled();
            tokio::select! {
                () = stop => {}
                () = sleep(PAUSE) => {}
            }
        }
        Ok(upload)
    }

    async fn upload(&self, record: &Record) -> Result<(), UploadError> {
        let request = request(record, self.client.address())
            .map_err(|why| UploadError::Rejected(anyhow!("the profile cannot be sent: {why}")))?;
        self.client.upload(request).await
    }

    fn report(
        &self,
        result: anyhow::Result<ReplayEnd>,
        left: u64,
        corrupt: u64,
    ) -> anyhow::Result<ExitCode> {
        let (profiles, bytes) = (
            counted(self.sent.profiles, "profile"),
            size(self.sent.bytes),
        );
        let mut text = format!("sent {profiles}, {bytes}; {left} left\n");
        if let Some(why) = &self.first_rejection {
            let rejected = self.rejected;
            text.push_str(&format!(
                "{rejected} refused, kept in the spool; the first with: {why}\n"
            ));
        }
        if corrupt > 0 {
            text.push_str(&format!("{corrupt} damaged, cannot be sent\n"));
        }
        print(&text)?;
        Ok(exit_code(
            result? == ReplayEnd::Complete && left + corrupt == 0,
        ))
    }
}

fn settle(lease: Lease, upload: UploadResult) {
    match upload {
        UploadResult::Sent => lease.ack(),
        UploadResult::Rejected => {
            lease.retry(Instant::now() + REJECTED_BACKOFF, RetryHistory::default())
        }
        UploadResult::Failed => drop(lease),
    }
}

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplayEnd {
    Complete,
    Interrupted,
}

/// Runs `work` to its end. The first Ctrl-C cancels `stop`, so that the work ends after the record in flight; the
/// second one drops the work, and then it is unknown whether the server took that record.
async fn until_interrupted(
    stop: &CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<ReplayEnd> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result.map(|()| match stop.is_cancelled() {
                true => ReplayEnd::Interrupted,
                false => ReplayEnd::Complete,
            }),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("failed to listen for Ctrl-C")?;
                if stop.is_cancelled() {
                    return Ok(ReplayEnd::Interrupted);
                }
                stop.cancel();
            }
        }
    }
}

/// Reads the whole records of damaged segments into `sender`, until they end or the receiver is dropped. Returns
/// the number of damaged records.
fn read(dir: &Path, names: &[String], sender: &mpsc::Sender<Arc<Record>>) -> anyhow::Result<u64> {
    let budget = Budget::new(u64::MAX);
    let mut damaged = 0;
    let read = Directory::at(dir).each(Selection::Quarantined, |stored| {
        if names.contains(&stored.file) {
            match read_record(&stored, &budget)? {
                Some(record) => sender.blocking_send(record)?,
                None => damaged += 1,
            }
        }
        anyhow::Ok(())
    });
    match read {
        Ok(()) => Ok(damaged),
        Err(_) if sender.is_closed() => Ok(damaged),
        Err(error) => Err(in_words(error)),
    }
}
