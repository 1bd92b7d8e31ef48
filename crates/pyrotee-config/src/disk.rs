//! Reads small files whole, through symlinks and up to a limit.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// How often a file that is not found is looked for. Kubernetes moves the symlink `..data` to a new directory and
/// then removes the old one, so a path that was followed between the two steps ends at a file that is gone.
const TRIES: usize = 3;

/// The bytes of a file; `None` if there are more than `limit`.
///
/// # Errors
/// The file cannot be opened or read.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut tries = 1..TRIES;
    loop {
        match read_once(path, limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
            done => return done,
        }
    }
}

fn read_once(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // One more byte distinguishes a file of exactly `limit` bytes from a longer one.
    let more = limit.saturating_add(1);
    File::open(path)?.take(more).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|len| len <= limit);
    Ok(fits.then_some(bytes))
}

/// Whether a file has its content only once: a pipe, a socket or a device. A second read of it could wait for ever.
pub(crate) fn is_read_once(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}
