//! Syncs files on a thread of its own, so that records are written while a sync is slow: a written record survives the
//! end of the process, and an unwritten record is only in memory.

use std::io;
use std::mem::take;
use std::sync::{Arc, mpsc};
use std::thread::Builder;

use pyrotee_queue::Part;
use pyrotee_segments::{File, Storage};
use tokio::time::Instant;

use super::Writer;
use super::cursors::SavedSlot;
use crate::settings::Fsync;
use crate::shared::Shared;

/// The thread that syncs files, one job at a time.
#[derive(Debug)]
pub(super) struct SyncThread {
    /// Dropping it ends the thread.
    jobs: mpsc::Sender<SyncJob>,
    results: mpsc::Receiver<io::Result<()>>,
    /// The job that is running. `None`: no job is running.
    running: Option<RunningSync>,
}

/// The records and cursors that a running job makes durable.
#[derive(Debug, Default)]
pub(super) struct RunningSync {
    /// The segment that is being written, and its length when the job began.
    pub(super) segment: Option<(u64, u64)>,
    /// Records that are committed at the end of the job.
    pub(super) records: usize,
    pub(super) cursors: Option<SavedSlot>,
    /// Whether the disk has failed since the job began, so that the result of the job is ignored.
    is_forgotten: bool,
}

/// Files to be synced, in this order.
#[derive(Debug)]
struct SyncJob {
    files: Vec<Arc<dyn File>>,
    /// Whether to sync the names in the directory too.
    names: bool,
}

impl SyncThread {
    /// Starts the thread. It wakes the writer at the end of each job.
    pub(super) fn start(storage: &Arc<dyn Storage>, shared: &Arc<Shared>) -> io::Result<Self> {
        let (jobs, requests) = mpsc::channel::<SyncJob>();
        let (done, results) = mpsc::channel();
        // A weak reference, so that this thread does not keep the directory locked after the writer has ended.
        let (storage, shared) = (Arc::downgrade(storage), Arc::clone(shared));
        let run = move || {
            while let Ok(job) = requests.recv() {
                let Some(storage) = storage.upgrade() else {
                    return;
                };
                let result = shared
                    .supervisor
                    .catch(Part::SpoolSync, || job.run(&*storage));
                let result = result.unwrap_or_else(|panic| {
                    Err(io::Error::other(format!("sync thread panicked: {panic}")))
                });
                drop(storage);
                if done.send(result).is_err() {
                    return;
                }
                shared.tracker.wakeup.notify();
            }
        };
        let name = Part::SpoolSync.as_str().to_owned();
        Builder::new().name(name).spawn(run)?;
        Ok(Self {
            jobs,
            results,
            running: None,
        })
    }

    /// Whether a job is running.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Whether a job is running that syncs cursors.
    pub(super) fn has_cursors(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.cursors.is_some())
    }

    /// Notes that the disk has failed, so that the result of a running job is ignored.
    pub(super) fn forget(&mut self) {
        self.running = self.running.take().map(|_| RunningSync {
            is_forgotten: true,
            ..RunningSync::default()
        });
    }

    fn begin(&mut self, job: SyncJob, running: RunningSync) -> io::Result<()> {
        let ended = |_| io::Error::other("the thread that syncs has ended");
        self.jobs.send(job).map_err(ended)?;
        self.running = Some(running);
        Ok(())
    }

    /// The result of the running job, if the job has ended.
    fn poll(&mut self) -> Option<(io::Result<()>, RunningSync)> {
        self.running.as_ref()?;
        let result = match self.results.try_recv() {
            Ok(result) => result,
            Err(mpsc::TryRecvError::Empty) => return None,
            Err(error @ mpsc::TryRecvError::Disconnected) => Err(io::Error::other(error)),
        };
        Some((result, self.running.take()?))
    }

    /// Waits for the end of the running job. `None`: no job is running.
    fn wait(&mut self) -> Option<(io::Result<()>, RunningSync)> {
        let running = self.running.take()?;
        let result = self.results.recv();
        Some((
            result.unwrap_or_else(|it| Err(io::Error::other(it))),
            running,
        ))
    }
}

impl SyncJob {
    fn run(&self, storage: &dyn Storage) -> io::Result<()> {
        for file in &self.files {
            file.sync()?;
        }
        match self.names {
            true => storage.sync_names(),
            false => Ok(()),
        }
    }
}

impl Writer {
    /// Saves the cursors, and begins to sync the files, if that is due.
    pub(super) fn save_and_sync(&mut self) -> io::Result<()> {
        let cursors = self.save_if_due()?;
        if self.sync.is_busy() || cursors.is_none() && !self.sync_is_due() {
            return Ok(());
        }
        self.last_sync = Instant::now();
        let mut files = take(&mut self.unsynced_segments);
        let active = self.active.as_ref().filter(|active| active.is_unsynced());
        files.extend(active.map(|active| Arc::clone(&active.file)));
        let (cursors, slot) = cursors.unzip();
        files.extend(slot);
        let running = RunningSync {
            segment: active.map(|active| (active.first, active.len)),
            records: self.uncommitted.len(),
            cursors,
            is_forgotten: false,
        };
        let names = take(&mut self.names_unsynced);
        self.sync.begin(SyncJob { files, names }, running)
    }

    /// Handles the result of a job that has ended.
    pub(super) fn end_sync(&mut self) -> io::Result<()> {
        match self.sync.poll() {
            None => Ok(()),
            Some((result, running)) => self.note_synced(result, running),
        }
    }

    /// Waits for the running job, and syncs on this thread the files that were written since.
    pub(super) fn sync_now(&mut self) -> io::Result<()> {
        if let Some((result, running)) = self.sync.wait() {
            self.note_synced(result, running)?;
        }
        if self.settings.fsync == Fsync::Never {
            return Ok(());
        }
        self.last_sync = Instant::now();
        for file in take(&mut self.unsynced_segments) {
            file.sync()?;
        }
        if let Some(active) = &mut self.active {
            active.sync()?;
        }
        self.commit(usize::MAX);
        match take(&mut self.names_unsynced) {
            true => self.storage.sync_names(),
            false => Ok(()),
        }
    }

    fn note_synced(&mut self, result: io::Result<()>, running: RunningSync) -> io::Result<()> {
        if running.is_forgotten {
            return Ok(());
        }
        result?;
        if let (Some(active), Some((first, len))) = (&mut self.active, running.segment)
            && active.first == first
        {
            active.synced = active.synced.max(len);
        }
        self.commit(running.records);
        if let Some(saved) = running.cursors {
            self.note_cursors_synced(&saved);
        }
        Ok(())
    }
}
