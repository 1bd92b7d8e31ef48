//! The file system operations that the spool needs, as traits, so that tests can make them fail.
//!
//! A storage is one directory. File names have no separators.

mod disk;
mod on_demand;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::SystemTime;

pub use disk::Disk;
pub use on_demand::OnDemand;

/// A directory.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Creates the directory if it does not exist, and locks it. A later call checks that the directory is still the
    /// same, and creates its lock file again if this file is missing.
    ///
    /// # Errors
    /// `WouldBlock`: another process holds the lock. Others: the directory or its lock file was replaced, and nothing
    /// is created; or the operating system failed.
    fn prepare(&self) -> io::Result<()>;

    /// Unlocks the directory. The next call of `prepare` accepts another directory in its place.
    fn release(&self) {}

    /// Whether a process holds the lock. Takes the lock for an instant.
    fn lock_state(&self) -> io::Result<LockState> {
        Ok(LockState::Absent)
    }

    /// Names and lengths, in bytes, of all files.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Creates a file that must not exist yet.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Overwrites a small file in place. The file never gets shorter, so that it needs no new blocks on a full disk.
    /// Bytes of a longer earlier content remain after `content`.
    fn overwrite(&self, name: &str, content: &[u8]) -> io::Result<Arc<dyn File>>;

    /// Renames a file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Unlinks a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The length of a file, and when it was last written to.
    fn stat(&self, name: &str) -> io::Result<Stat>;

    /// Makes creations, renames and removals durable.
    fn sync_names(&self) -> io::Result<()>;

    /// How much space the file system has.
    fn space(&self) -> io::Result<Space>;
}

/// An open file.
pub trait File: fmt::Debug + Send + Sync {
    /// Appends some of these bytes, and returns how many.
    fn append(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Reads some bytes, and returns how many: zero at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Makes appended bytes durable.
    fn sync(&self) -> io::Result<()>;

    /// Shortens the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// The state of a directory's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// The lock file does not exist: no process has ever locked the directory.
    Absent,
    /// No process holds the lock.
    Free,
    /// A process holds the lock.
    Held,
}

/// The metadata of a file.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// Length, in bytes.
    pub len: u64,
    /// When the file was last written to. `None`: the file system does not report this time.
    pub modified: Option<SystemTime>,
}

/// The space of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that a process without privileges can still write.
    pub free: u64,
    /// The size of the file system.
    pub total: u64,
}

/// Appends all of `parts`. After an error, some of them may be in the file.
///
/// # Errors
/// The file cannot be written. `WriteZero`: it takes no more bytes.
pub fn append_all(file: &dyn File, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    /// Most parts that the kernel takes in one call.
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

/// Reads until the buffer is full or the file ends, and returns the number of bytes read.
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

/// Reads a whole file, which must be small.
///
/// # Errors
/// The operating system cannot read the file.
pub fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    const STEP: usize = 64 * 1024;
    let (mut bytes, mut filled) = (Vec::new(), 0);
    loop {
        bytes.resize(filled + STEP, 0);
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        let read = read_up_to(file, filled as u64, rest)?;
        filled += read;
        if read < STEP {
            bytes.truncate(filled);
            return Ok(bytes);
        }
    }
}
