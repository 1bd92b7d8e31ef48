//! Directories that cannot be opened, and processes that lock a directory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use pyrotee_queue::lock;
use pyrotee_segments::{File, LockState, Space, Stat, Storage};

use super::gate::Gate;
use super::{Handle, Sim};

impl Sim {
    /// From now on the directory cannot be locked.
    pub(in super::super) fn fail_prepare(&self, error: Option<io::ErrorKind>) {
        lock(&self.inner.state).prepare_error = error;
    }

    /// From now on the directory cannot be listed.
    pub(in super::super) fn fail_list(&self, error: Option<io::ErrorKind>) {
        lock(&self.inner.state).list_error = error;
    }

    /// From now on at most this many files can be open.
    pub(in super::super) fn limit_open_files(&self, most: usize) {
        let mut state = lock(&self.inner.state);
        state.most_open = Some(most);
        state.highest_open = state.open;
    }

    /// The most files that were open at once since the limit was set.
    pub(in super::super) fn highest_open(&self) -> usize {
        lock(&self.inner.state).highest_open
    }

    /// Holds up reads.
    pub(in super::super) fn reads(&self) -> &Gate {
        &self.inner.reads
    }

    /// Holds up syncs.
    pub(in super::super) fn syncs(&self) -> &Gate {
        &self.inner.syncs
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.inner.state).open -= 1;
    }
}

/// A process that locks the directory. No other process can lock it until this one releases it.
#[derive(Debug)]
pub(in super::super) struct Process {
    sim: Arc<Sim>,
    has_lock: AtomicBool,
}

impl Process {
    pub(in super::super) fn of(sim: &Arc<Sim>) -> Arc<Self> {
        Arc::new(Self {
            sim: Arc::clone(sim),
            has_lock: AtomicBool::new(false),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.release();
    }
}

impl Storage for Process {
    fn prepare(&self) -> io::Result<()> {
        self.sim.prepare()?;
        let mut state = lock(&self.sim.inner.state);
        if !self.has_lock.load(SeqCst) {
            if state.is_locked {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.is_locked = true;
            self.has_lock.store(true, SeqCst);
        }
        Ok(())
    }

    fn release(&self) {
        if self.has_lock.swap(false, SeqCst) {
            lock(&self.sim.inner.state).is_locked = false;
        }
    }

    fn lock_state(&self) -> io::Result<LockState> {
        match lock(&self.sim.inner.state).is_locked {
            true => Ok(LockState::Held),
            false => Ok(LockState::Free),
        }
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        assert!(self.has_lock.load(SeqCst), "the directory is not locked");
        self.sim.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        assert!(self.has_lock.load(SeqCst), "the directory is not locked");
        self.sim.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.sim.open(name)
    }

    fn overwrite(&self, name: &str, content: &[u8]) -> io::Result<Arc<dyn File>> {
        assert!(self.has_lock.load(SeqCst), "the directory is not locked");
        self.sim.overwrite(name, content)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.sim.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.sim.remove(name)
    }

    fn stat(&self, name: &str) -> io::Result<Stat> {
        self.sim.stat(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.sim.sync_names()
    }

    fn space(&self) -> io::Result<Space> {
        self.sim.space()
    }
}
