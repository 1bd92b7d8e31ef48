//! Looks into a spool directory without opening it for work.
//!
//! Nothing is written, cut, renamed or locked for longer than a look, so that a directory may be read
//! while a relay uses it. What that relay unlinks meanwhile is no error, and the end of what it is
//! writing is no damage. What a start would make of the directory (`recovery`) and what is told here
//! are held together by tests.

mod finding;
mod listing;
mod stored;
mod survey;
mod verify;
mod watched;

pub use finding::{Finding, What};
pub(crate) use listing::QUARANTINED;
pub use stored::{Select, Stored};
pub use survey::{Standing, Survey, TargetSurvey};
pub use verify::Verdict;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::{Disk, Storage};

/// The version of the format that this pyrotee writes, and the newest that it reads.
pub const FORMAT: u32 = crate::format::VERSION;

/// A spool directory that is looked at.
#[derive(Debug, Clone)]
pub struct Directory {
    dir: PathBuf,
    storage: Arc<dyn Storage>,
}

/// Called with the number of bytes that were read since it was last called.
pub type OnRead = Arc<dyn Fn(u64) + Send + Sync>;

/// Why a directory cannot be looked at. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Nothing in it was written by a spool.
    #[error(
        "find a spool in {dir}: it holds no file of one; give the directory that is `spool.dir` of the relay"
    )]
    NoSpool {
        /// The directory.
        dir: PathBuf,
    },
    /// A later pyrotee wrote it.
    #[error(
        "read {file}: it has version {version} of the spool format and was written by a newer pyrotee; \
         use that version"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The operating system does not give it.
    #[error("read {path}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

impl Directory {
    /// The directory at `dir`, which nobody looks at yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let storage = Arc::new(Disk::read_only(&dir));
        Self { dir, storage }
    }

    #[cfg(test)]
    pub(crate) fn of(storage: Arc<dyn Storage>) -> Self {
        Self {
            dir: PathBuf::from("/spool"),
            storage,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    fn failed(&self, name: &str, source: io::Error) -> InspectError {
        InspectError::Io {
            path: self.dir.join(name),
            source,
        }
    }
}
