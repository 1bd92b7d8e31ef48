//! A bounded directory of letters. Each letter is a captured request, and a description of its refusal.
//!
//! ```text
//! lock                                       locked by the process that may change the directory
//! 20261124T104300.123Z-000042-central.http   the captured request, as `pyrotee send --file` takes it
//! 20261124T104300.123Z-000042-central.json   a [`Letter`]
//! *.http.tmp *.json.tmp                      files that are being written; leftovers are removed at the next start
//! ```
//!
//! A letter exists while its `.json` file exists, which is renamed last and removed first. All files together
//! never take more than the limit. Files with other names are ignored.

mod files;
mod id;
mod index;
mod letter;
mod ownership;
#[cfg(test)]
pub(crate) mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::Bytes;
use pyrotee_queue::{Record, lock};

pub use id::Id;
use index::Index;
pub use letter::{Cause, Letter};

use crate::captured;

/// Most bytes that a captured request has in addition to the head and the body of its record.
const AROUND: u64 = 1_024;

/// A directory of letters.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Most bytes of all files together.
    max_bytes: u64,
    index: Mutex<Index>,
    /// Letters that were evicted to make room for others.
    evicted: AtomicU64,
    /// `None` if the directory is only read.
    _lock: Option<fs::File>,
}

/// Why a letter cannot be kept, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not the id of a dead letter; `pyrotee dead-letters ls` shows all ids")]
    NoId(String),
    #[error("there is no dead letter {0}: it was replayed, purged, or evicted to make room")]
    Gone(Id),
    #[error("the dead letter {id} is damaged: {why}; purge it")]
    Damaged { id: Id, why: String },
    #[error("the dead letter takes more than half of dead-letters.max-bytes")]
    TooLarge,
    #[error(
        "another process uses the dead letters in {0}: ask the relay that uses them, with --admin, or give \
         each relay its own directory"
    )]
    Locked(PathBuf),
    #[error(
        "{0} is no directory of dead letters: check --dir, or dead-letters.dir of the configuration"
    )]
    NoDirectory(PathBuf),
    #[error(
        "{dir} has other files, such as {file}: set dead-letters.dir to an empty directory, or to one that does not \
         exist yet"
    )]
    Foreign { dir: PathBuf, file: String },
    #[error("failed to use the dead letters in {dir}")]
    Io {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The number of letters, their bytes on disk, and the limit of these bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub letters: u64,
    pub bytes: u64,
    pub max_bytes: u64,
}

impl Store {
    /// Opens the directory of a relay, and creates it if it does not exist. Removes letters that were not written
    /// completely, and the oldest letters until the rest is within `max_bytes`.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<Self, Error> {
        let failed = failure(dir);
        files::make_dir(dir).map_err(&failed)?;
        // Checked before the directory is locked, because the lock is a file.
        if let Some(file) = ownership::foreign(dir).map_err(&failed)? {
            let dir = dir.to_owned();
            return Err(Error::Foreign { dir, file });
        }
        let lock = files::lock(dir)?;
        let found = files::find(dir).map_err(&failed)?;
        for half in &found.halves {
            files::remove(&dir.join(half)).map_err(&failed)?;
        }
        let store = Self {
            dir: dir.to_owned(),
            max_bytes,
            index: Mutex::new(Index::of(found.letters)),
            evicted: AtomicU64::new(0),
            _lock: Some(lock),
        };
        drop(store.make_room(0)?);
        Ok(store)
    }

    /// Opens an existing directory without a limit: to read it, or with its lock to `change` it.
    /// A directory without letters that no process has ever locked is refused, because the lock would be a new file in it.
    pub fn look(dir: &Path, change: bool) -> Result<Self, Error> {
        if !dir.is_dir() || !ownership::is_of_letters(dir).map_err(failure(dir))? {
            return Err(Error::NoDirectory(dir.to_owned()));
        }
        let lock = change.then(|| files::lock(dir)).transpose()?;
        let found = files::find(dir).map_err(failure(dir))?;
        Ok(Self {
            dir: dir.to_owned(),
            max_bytes: u64::MAX,
            index: Mutex::new(Index::of(found.letters)),
            evicted: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// Writes a letter: the record, and why it was refused at `at`.
    pub fn keep(&self, record: &Record, cause: &Cause, at: SystemTime) -> Result<(), Error> {
        let number = self.index().number();
        let letter = Letter::new(number, record, cause, at);
        let id = letter.id.parse::<Id>()?;
        let json = letter.to_json();
        let request = record.len() + record.head().len() as u64 + AROUND;
        let most = files::on_disk(request) + files::on_disk(json.len() as u64);
        if most > self.max_bytes / 2 {
            return Err(Error::TooLarge);
        }
        let mut index = self.make_room(most)?;
        // From now on the bytes count as taken, however many of them are on disk already.
        index.promise(most);
        drop(index);

        let written = files::write_both(&self.dir, &id, &json, |out| captured::write(record, out));
        let mut index = self.index();
        index.keep_promise(most);
        let request = written.map_err(failure(&self.dir))?;
        index.insert(
            id,
            files::on_disk(request) + files::on_disk(json.len() as u64),
        );
        Ok(())
    }

    /// Removes a letter.
    pub fn remove(&self, id: &Id) -> Result<(), Error> {
        match self.delete(id)? {
            true => Ok(()),
            false => Err(Error::Gone(id.clone())),
        }
    }

    /// The description of a letter.
    pub fn letter(&self, id: &Id) -> Result<Letter, Error> {
        let json = self.read(id, files::JSON)?;
        Letter::from_json(id, &json).map_err(|error| Error::Damaged {
            id: id.clone(),
            why: format!("its .json file cannot be read ({error})"),
        })
    }

    /// The file of a captured request and its length in bytes, for readers that read the file in pieces.
    pub fn open_request(&self, id: &Id) -> Result<(fs::File, u64), Error> {
        if !self.index().contains(id) {
            return Err(Error::Gone(id.clone()));
        }
        let path = files::path(&self.dir, id, files::HTTP);
        let opened = fs::File::open(path).and_then(|file| {
            let len = file.metadata()?.len();
            Ok((file, len))
        });
        opened.map_err(|error| self.unread(id, error))
    }

    /// The head of a captured request without the empty line at its end, and the length of the body in bytes.
    pub fn request_head(&self, id: &Id) -> Result<(Vec<u8>, u64), Error> {
        let (mut file, len) = self.open_request(id)?;
        let head = files::read_head(&mut file).map_err(|error| self.unread(id, error))?;
        let head = head.ok_or_else(|| Error::Damaged {
            id: id.clone(),
            why: "the head of its request does not end".to_owned(),
        })?;
        let end = (head.len() + files::END_OF_HEAD.len()) as u64;
        Ok((head, len.saturating_sub(end)))
    }

    /// The captured request of a letter.
    pub fn request(&self, id: &Id) -> Result<Bytes, Error> {
        self.read(id, files::HTTP).map(Bytes::from)
    }

    /// Length of the captured request, in bytes.
    pub fn request_len(&self, id: &Id) -> Result<u64, Error> {
        let path = files::path(&self.dir, id, files::HTTP);
        let metadata = fs::metadata(path).map_err(|error| self.unread(id, error))?;
        Ok(metadata.len())
    }

    /// The ids of all letters, or of the letters of one `target`, the oldest first.
    pub fn ids(&self, target: Option<&str>) -> Vec<Id> {
        let index = self.index();
        let ids = index.ids();
        ids.filter(|id| target.is_none_or(|target| id.target == target))
            .cloned()
            .collect()
    }

    pub fn size(&self) -> Size {
        let index = self.index();
        Size {
            letters: index.letters(),
            bytes: index.bytes(),
            max_bytes: self.max_bytes,
        }
    }

    /// How many letters were evicted to make room for others.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    fn read(&self, id: &Id, ending: &str) -> Result<Vec<u8>, Error> {
        if !self.index().contains(id) {
            return Err(Error::Gone(id.clone()));
        }
        fs::read(files::path(&self.dir, id, ending)).map_err(|error| self.unread(id, error))
    }

    /// Why a file of a letter cannot be read.
    fn unread(&self, id: &Id, source: io::Error) -> Error {
        let there = self.index().contains(id);
        match (source.kind(), there) {
            (io::ErrorKind::NotFound, false) => Error::Gone(id.clone()),
            (io::ErrorKind::NotFound, true) => Error::Damaged {
                id: id.clone(),
                why: "one of its files is missing".to_owned(),
            },
            _ => failure(&self.dir)(source),
        }
    }

    /// Removes the oldest letters until `bytes` fit.
    fn make_room(&self, bytes: u64) -> Result<MutexGuard<'_, Index>, Error> {
        loop {
            let index = self.index();
            if index.bytes().saturating_add(bytes) <= self.max_bytes {
                return Ok(index);
            }
            let Some(oldest) = index.ids().next().cloned() else {
                return Ok(index);
            };
            drop(index);
            if self.delete(&oldest)? {
                self.evicted.fetch_add(1, Relaxed);
            }
        }
    }

    /// Removes a letter; `false` if it does not exist. The files are removed without the lock of the index, so that a
    /// disk that hangs does not block callers that only read sizes.
    fn delete(&self, id: &Id) -> Result<bool, Error> {
        let Some(bytes) = self.index().begin_removal(id) else {
            return Ok(false);
        };
        let removed = files::remove_both(&self.dir, id);
        self.index().end_removal(id, bytes, removed.is_ok());
        removed.map_err(failure(&self.dir))?;
        Ok(true)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // The index stays consistent even if a holder of the lock panicked: each change is one step.
        lock(&self.index)
    }
}

impl Error {
    /// The text of the error, followed by the text of its cause.
    pub(crate) fn with_cause(&self) -> String {
        let cause = std::error::Error::source(self);
        cause.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }
}

fn failure(dir: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Io {
        dir: dir.to_owned(),
        source,
    }
}
