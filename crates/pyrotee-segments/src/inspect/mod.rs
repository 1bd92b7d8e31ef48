//! Reads a spool directory without opening the spool.
//!
//! Nothing in the directory is written, truncated or renamed, and its lock is held only for an instant, so a
//! directory can be inspected while a relay uses it. A file that the relay unlinks meanwhile is not an error,
//! and an incomplete record at the end of the segment that the relay writes is not damage. Tests of
//! `pyrotee-spool` check that this module and the recovery of a spool agree about the same directory.

mod finding;
mod inspected;
mod stored_record;
mod survey;
mod verify;

pub use finding::{Finding, FindingKind};
pub use stored_record::{Selection, StoredRecord};
pub use survey::{Membership, Survey, TargetSurvey};
pub use verify::VerifyReport;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::{Disk, Storage};

/// The version of the on-disk format that this pyrotee writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = crate::format::VERSION;

/// A spool directory to be inspected.
#[derive(Debug, Clone)]
pub struct Directory {
    dir: PathBuf,
    storage: Arc<dyn Storage>,
}

/// Why a directory cannot be inspected. The text reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The directory contains no file of a spool.
    #[error(
        "find a spool in {dir}: it contains no spool file; give the directory that is `spool.dir` of the relay"
    )]
    NoSpool {
        /// The directory.
        dir: PathBuf,
    },
    /// A newer pyrotee wrote a file, in a later version of the format.
    #[error(
        "read {file}: it has version {version} of the spool format and was written by a newer pyrotee; \
         use that version"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// The operating system cannot read the directory or a file.
    #[error("read {path}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Directory {
    /// The directory at `dir`. Nothing is read yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let storage = Arc::new(Disk::read_only(&dir));
        Self { dir, storage }
    }

    /// The directory behind `storage`, for tests.
    #[cfg(feature = "testing")]
    pub fn of(storage: Arc<dyn Storage>) -> Self {
        Self {
            dir: PathBuf::from("/spool"),
            storage,
        }
    }

    /// The path of the directory.
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
