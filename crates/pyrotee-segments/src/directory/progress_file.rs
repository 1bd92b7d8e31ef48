//! A file that reports how much of it was read.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::storage::File;

/// Called with the number of bytes that were read since the last call. An error ends the read.
pub type OnRead = Arc<dyn Fn(u64) -> io::Result<()> + Send + Sync>;

/// A read-only file that reports each of its first `len` bytes once, however often it is read. Bytes that were
/// not read are reported when the file is dropped.
pub(super) struct ProgressFile {
    file: Arc<dyn File>,
    len: u64,
    read: AtomicU64,
    on_read: OnRead,
}

impl ProgressFile {
    pub(super) fn wrap(file: Arc<dyn File>, len: u64, on_read: &OnRead) -> Arc<dyn File> {
        Arc::new(Self {
            file,
            len,
            read: AtomicU64::new(0),
            on_read: Arc::clone(on_read),
        })
    }

    /// Reports the bytes before `end` that are not reported yet.
    fn report(&self, end: u64) -> io::Result<()> {
        let end = end.min(self.len);
        let before = self.read.fetch_max(end, Relaxed);
        (self.on_read)(end.saturating_sub(before))
    }
}

impl Drop for ProgressFile {
    fn drop(&mut self) {
        self.report(self.len).ok();
    }
}

impl File for ProgressFile {
    fn append(&self, _parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(offset, buffer)?;
        self.report(offset + count as u64)?;
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

impl fmt::Debug for ProgressFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressFile").finish_non_exhaustive()
    }
}
