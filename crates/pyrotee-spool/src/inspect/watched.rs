//! A file whose reading is watched.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::OnRead;
use crate::storage::File;

/// Tells of each of its first `len` bytes once, however often it is read, of the rest at its end.
pub(super) struct Watched {
    file: Arc<dyn File>,
    len: u64,
    read: AtomicU64,
    on_read: OnRead,
}

impl Watched {
    pub(super) fn file(file: Arc<dyn File>, len: u64, on_read: &OnRead) -> Arc<dyn File> {
        Arc::new(Self {
            file,
            len,
            read: AtomicU64::new(0),
            on_read: Arc::clone(on_read),
        })
    }

    fn tell(&self, end: u64) {
        let end = end.min(self.len);
        let before = self.read.fetch_max(end, Relaxed);
        if before < end {
            (self.on_read)(end - before);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tell(self.len);
    }
}

impl File for Watched {
    fn append(&self, _parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(offset, buffer)?;
        self.tell(offset + count as u64);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}
