//! A file that is being scanned.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::lifecycle::Lifecycle;
use crate::storage::File;

/// A file whose reads tell how far a scan is, and fail once the spool is stopped.
#[derive(Debug)]
pub(super) struct WatchedFile {
    pub(super) file: Arc<dyn File>,
    pub(super) lifecycle: Arc<Lifecycle>,
    /// Bytes of the segments that were scanned before this one.
    pub(super) before: u64,
}

impl File for WatchedFile {
    fn append(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file.append(parts)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.lifecycle.is_stopping() {
            return Err(io::Error::other("the spool was closed"));
        }
        let read = self.file.read_at(offset, buffer)?;
        let so_far = offset.saturating_add(read as u64);
        self.lifecycle
            .note_scanned(self.before.saturating_add(so_far));
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}
