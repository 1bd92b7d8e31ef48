//! A directory of the operating system.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use pyrotee_queue::lock;

use super::{File, LockState, Space, Stat, Storage};

/// The lock file. A process that has the spool open holds a lock on it.
const LOCK: &str = "lock";

/// Attempts to take the lock: `lock_state` of another process may hold it for an instant.
const LOCK_TRIES: u32 = 5;
const BETWEEN_LOCK_TRIES: Duration = Duration::from_millis(20);

/// File mode: only the owner may read profiles, because they contain names of functions.
const PRIVATE: u32 = 0o600;

/// A directory of the operating system, which stays locked until this value is dropped.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    locked: Mutex<Option<LockedDirectory>>,
    read_only: bool,
}

/// The identity of the locked directory, to notice if another directory is in its place.
#[derive(Debug)]
struct LockedDirectory {
    directory: Identity,
    lock: Identity,
    /// Holds the lock.
    _file: fs::File,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(of: &fs::Metadata) -> Identity {
    (of.dev(), of.ino())
}

impl Disk {
    /// The directory at `dir`, which need not exist. Nothing is locked yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            locked: Mutex::default(),
            read_only: false,
        }
    }

    /// A directory that is never locked, and whose files are opened for reading only.
    pub(crate) fn read_only(dir: &Path) -> Self {
        Self {
            read_only: true,
            ..Self::new(dir)
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The path of a file in the directory that was locked.
    ///
    /// # Errors
    /// Another directory is in the place of the locked one: a file system was unmounted, mounted or replaced.
    fn path_in_locked(&self, name: &str) -> io::Result<PathBuf> {
        if let Some(locked) = &*lock(&self.locked) {
            // Not returned as `NotFound`, which would mean that a file is missing from the directory.
            let found = match fs::metadata(&self.dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                found => Some(identity(&found?)),
            };
            if found != Some(locked.directory) {
                return Err(replaced("the directory"));
            }
        }
        Ok(self.path(name))
    }

    fn lock_file(&self) -> io::Result<LockedDirectory> {
        let path = self.path(LOCK);
        let file = Self::options().append(true).create(true).open(path)?;
        acquire(&file)?;
        Ok(LockedDirectory {
            directory: identity(&fs::metadata(&self.dir)?),
            lock: identity(&file.metadata()?),
            _file: file,
        })
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).mode(PRIVATE);
        options
    }
}

impl Storage for Disk {
    fn prepare(&self) -> io::Result<()> {
        if lock(&self.locked).is_none() {
            fs::create_dir_all(&self.dir)?;
        }
        let path = self.path_in_locked(LOCK)?;
        let mut locked = lock(&self.locked);
        let existing = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            existing => Some(identity(&existing?)),
        };
        match (&*locked, existing) {
            (Some(ours), Some(existing)) if ours.lock == existing => Ok(()),
            (Some(_), Some(_)) => Err(replaced("the file `lock`")),
            // The directory is not locked yet, or its lock file is missing: a new lock file is created.
            (_, None) | (None, _) => {
                *locked = Some(self.lock_file()?);
                Ok(())
            }
        }
    }

    fn release(&self) {
        *lock(&self.locked) = None;
    }

    fn lock_state(&self) -> io::Result<LockState> {
        let file = match Self::options().open(self.path(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Absent),
            file => file?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(LockState::Free),
            Err(TryLockError::WouldBlock) => Ok(LockState::Held),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = match entry.metadata() {
                // Another process has unlinked the file since `read_dir`.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            // A spool creates no directories, but the directory of the dead letters may be here.
            if name != LOCK && !metadata.is_dir() {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let path = self.path_in_locked(name)?;
        let file = Self::options().append(true).create_new(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let path = self.path_in_locked(name)?;
        if self.read_only {
            return Ok(Arc::new(Self::options().open(path)?));
        }
        let file = Self::options().append(true).open(&path);
        // The records of a file that cannot be written can still be delivered.
        let file = file.or_else(|_| Self::options().open(&path))?;
        Ok(Arc::new(file))
    }

    fn overwrite(&self, name: &str, content: &[u8]) -> io::Result<Arc<dyn File>> {
        let mut options = Self::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path_in_locked(name)?)?;
        file.write_all(content)?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path_in_locked(from)?, self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_in_locked(name)?)
    }

    fn stat(&self, name: &str) -> io::Result<Stat> {
        let metadata = fs::metadata(self.path_in_locked(name)?)?;
        Ok(Stat {
            len: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        fs::File::open(&self.dir)?.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

fn replaced(what: &str) -> io::Error {
    io::Error::other(format!(
        "{what} was removed or replaced since the relay started: restore it, or restart the relay"
    ))
}

fn acquire(file: &fs::File) -> io::Result<()> {
    for tries_left in (0..LOCK_TRIES).rev() {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if tries_left > 0 => sleep(BETWEEN_LOCK_TRIES),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

impl File for fs::File {
    fn append(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(parts)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}
