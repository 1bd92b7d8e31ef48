//! A file that is opened for each call instead of being kept open.

use std::io::{self, IoSlice};
use std::sync::{Arc, Weak};

use super::{File, Storage};

/// A file that is opened for each call and closed again, because a process may have few files open at once. Once the
/// spool is closed, every call fails, because another process may use the directory.
#[derive(Debug)]
pub struct OnDemand {
    storage: Weak<dyn Storage>,
    name: String,
}

impl OnDemand {
    /// The file of this name in `storage`. It is not opened yet.
    pub fn new(storage: &Arc<dyn Storage>, name: String) -> Self {
        Self {
            storage: Arc::downgrade(storage),
            name,
        }
    }

    fn open(&self) -> io::Result<Arc<dyn File>> {
        let closed = || io::Error::other("the spool is closed");
        self.storage.upgrade().ok_or_else(closed)?.open(&self.name)
    }
}

impl File for OnDemand {
    fn append(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.open()?.append(parts)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.open()?.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.open()?.sync()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.open()?.truncate(len)
    }
}
