//! The little of a file system that the spool needs, as a trait, so that tests can make it fail.
//!
//! A storage is one directory; names have no separators.

mod disk;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

pub(crate) use disk::Disk;

/// A directory.
pub(crate) trait Storage: fmt::Debug + Send + Sync {
    /// Makes the directory if it is not there, and locks it; again, if it is another one by now.
    /// `WouldBlock`: somebody else holds the lock.
    fn prepare(&self) -> io::Result<()>;

    /// Whether somebody holds the lock; takes it for no longer than a look.
    fn look_at_lock(&self) -> io::Result<Lock> {
        Ok(Lock::Absent)
    }

    /// Names and lengths of all files.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes a file that must not exist yet.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Overwrites a small file in place. It never gets shorter, and so needs no new blocks on a disk
    /// that is full; the rest of what was there before may stay behind `content`.
    fn overwrite(&self, name: &str, content: &[u8], sync: bool) -> io::Result<()>;

    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Unlinks a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    fn sync_names(&self) -> io::Result<()>;

    /// What the file system has left.
    fn space(&self) -> io::Result<Space>;
}

/// An open file.
pub(crate) trait File: fmt::Debug + Send + Sync {
    /// Appends some of these bytes; how many.
    fn append(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Reads some bytes; how many, zero at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Makes what was appended durable.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the end off.
    fn cut(&self, len: u64) -> io::Result<()>;
}

/// The lock of a directory, for whoever does not want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Nobody has ever locked it.
    Absent,
    /// Nobody holds it.
    Free,
    /// A process uses the directory.
    Held,
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

/// Appends all of `parts`.
pub(crate) fn append_all(file: &dyn File, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    /// The kernel takes no more at once.
    const AT_ONCE: usize = 1_024;
    while !parts.is_empty() {
        let some = parts.get(..AT_ONCE).unwrap_or(parts);
        match file.append(some) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut parts, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; how many bytes.
pub(crate) fn read_up_to(file: &dyn File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset + filled as u64, rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
