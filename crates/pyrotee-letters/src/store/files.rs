//! Reads, writes and removes the files of letters.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Error, Id, failure};

/// File name ending of the captured request of a letter.
pub(super) const HTTP: &str = ".http";
/// File name ending of the description of a letter: a [`super::Letter`] as JSON.
pub(super) const JSON: &str = ".json";
/// File name ending of a file that is being written.
const TEMPORARY: &str = ".tmp";

/// Name of the file that a process locks to change the directory.
pub(super) const LOCK: &str = "lock";

/// Bytes of a block of the disk: a file counts as whole blocks, at least one. Otherwise a great number of small
/// letters could fill a disk with blocks.
const BLOCK: u64 = 4_096;

/// The bytes that separate the head of a captured request from its body.
pub(super) const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Longest head that is read, in bytes: twice the limit for requests of clients, because times are added.
const LONGEST_HEAD: usize = 512 * 1024;

/// Bytes that are read at once in search of the end of a head.
const PIECE: u64 = 16 * 1024;

/// The letters and leftovers that were found in a directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Letters, each with the bytes that it takes on disk.
    pub(super) letters: BTreeMap<Id, u64>,
    /// Names of files of letters that were not written completely.
    pub(super) halves: Vec<String>,
}

/// The bytes that a file of `len` bytes takes on disk.
pub(super) fn on_disk(len: u64) -> u64 {
    len.max(1).div_ceil(BLOCK).saturating_mul(BLOCK)
}

pub(super) fn path(dir: &Path, id: &Id, ending: &str) -> PathBuf {
    dir.join(format!("{id}{ending}"))
}

/// Creates the directory, readable for its owner only: profiles contain the names of functions of a program.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Locks the directory until the returned file is dropped.
pub(super) fn lock(dir: &Path) -> Result<fs::File, Error> {
    let file = options().create(true).truncate(false).open(dir.join(LOCK));
    let file = file.map_err(failure(dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failure(dir)(error)),
    }
}

/// Lists the letters in the directory. Files with other names are ignored.
pub(super) fn find(dir: &Path) -> io::Result<Found> {
    let mut requests = BTreeMap::new();
    let mut found = Found::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let id_of = |ending| name.strip_suffix(ending)?.parse::<Id>().ok();
        let bytes = match entry.metadata() {
            Ok(metadata) if metadata.is_file() => on_disk(metadata.len()),
            Ok(_) => continue,
            // A relay removed the file meanwhile, to make room.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Some(half) = name.strip_suffix(TEMPORARY) {
            let ours = [HTTP, JSON]
                .iter()
                .find_map(|ending| half.strip_suffix(ending));
            if ours.is_some_and(|id| id.parse::<Id>().is_ok()) {
                found.halves.push(name);
            }
        } else if let Some(id) = id_of(JSON) {
            found.letters.insert(id, bytes);
        } else if let Some(id) = id_of(HTTP) {
            requests.insert(id, bytes);
        }
    }
    for (id, bytes) in requests {
        match found.letters.get_mut(&id) {
            Some(letter) => *letter += bytes,
            None => found.halves.push(format!("{id}{HTTP}")),
        }
    }
    Ok(found)
}

/// Writes the two files of a letter, so that either the whole letter exists or nothing of it. Returns the bytes that
/// `request` wrote.
pub(super) fn write_both(
    dir: &Path,
    id: &Id,
    json: &[u8],
    request: impl Fn(&mut BufWriter<fs::File>) -> io::Result<()>,
) -> io::Result<u64> {
    let write = |ending, content: &dyn Fn(&mut BufWriter<fs::File>) -> io::Result<()>| {
        let whole = path(dir, id, ending);
        let half = path(dir, id, &format!("{ending}{TEMPORARY}"));
        let mut out = BufWriter::new(options().create_new(true).open(&half)?);
        content(&mut out)?;
        out.flush()?;
        let len = out.get_ref().metadata()?.len();
        fs::rename(half, whole)?;
        Ok(len)
    };
    let written = write(HTTP, &request).and_then(|len| {
        write(JSON, &|out| out.write_all(json))?;
        Ok(len)
    });
    written.inspect_err(|_| {
        // The next start removes the files that cannot be removed now.
        for ending in [HTTP, JSON] {
            drop(remove(&path(dir, id, &format!("{ending}{TEMPORARY}"))));
            drop(remove(&path(dir, id, ending)));
        }
    })
}

/// Reads the head of a captured request, without the empty line at its end; `None` if the head does not end within
/// [`LONGEST_HEAD`].
pub(super) fn read_head(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let read = file.by_ref().take(PIECE).read_to_end(&mut head)?;
        // The separator may begin in the previous piece.
        let from = before.saturating_sub(END_OF_HEAD.len() - 1);
        let mut windows = head.windows(END_OF_HEAD.len()).skip(from);
        if let Some(at) = windows.position(|window| window == END_OF_HEAD) {
            head.truncate(from + at);
            return Ok(Some(head));
        }
        if read == 0 || head.len() >= LONGEST_HEAD {
            return Ok(None);
        }
    }
}

/// Removes the files of a letter. The letter no longer exists after the first file is removed.
pub(super) fn remove_both(dir: &Path, id: &Id) -> io::Result<()> {
    remove(&path(dir, id, JSON))?;
    remove(&path(dir, id, HTTP))
}

/// Removes a file. A file that does not exist is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
