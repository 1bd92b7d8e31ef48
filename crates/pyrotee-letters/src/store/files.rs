//! The files of the letters.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Error, Id, failure};

/// Ending of the captured request.
pub(super) const HTTP: &str = ".http";
/// Ending of what is known of its refusal.
pub(super) const JSON: &str = ".json";
/// A file that is being written.
const TEMPORARY: &str = ".tmp";

const LOCK: &str = "lock";

/// What a file takes of the disk at least, and by what it grows. Without it, small letters without
/// number would fill a disk with blocks.
const BLOCK: u64 = 4_096;

/// What separates the head of a captured request from its body.
pub(super) const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Longest head that is looked for: twice of what the relay takes from a client, as times are added.
const LONGEST_HEAD: usize = 512 * 1024;

/// Bytes that are read at once while the end of a head is looked for.
const PIECE: u64 = 16 * 1024;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Letters, and what each takes.
    pub(super) letters: BTreeMap<Id, u64>,
    /// Names of files that are left of letters half written.
    pub(super) halves: Vec<String>,
}

/// What a file of `len` bytes takes.
pub(super) fn on_disk(len: u64) -> u64 {
    len.max(1).div_ceil(BLOCK).saturating_mul(BLOCK)
}

pub(super) fn path(dir: &Path, id: &Id, ending: &str) -> PathBuf {
    dir.join(format!("{id}{ending}"))
}

/// Profiles name functions of somebody's program: nobody else may look.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Locks the directory for as long as the file is held.
pub(super) fn lock(dir: &Path) -> Result<fs::File, Error> {
    let file = options().create(true).truncate(false).open(dir.join(LOCK));
    let file = file.map_err(failure(dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failure(dir)(error)),
    }
}

/// Looks through the directory. Names that are not ours are passed over.
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
            // A relay made room meanwhile.
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

/// Writes the two files of a letter, so that either the whole of it is there or nothing; the length
/// of what `request` wrote.
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
        // The next start removes what cannot be removed now.
        for ending in [HTTP, JSON] {
            drop(remove(&path(dir, id, &format!("{ending}{TEMPORARY}"))));
            drop(remove(&path(dir, id, ending)));
        }
    })
}

/// Reads the head of a captured request, without the empty line at its end. `None`: it does not end within
/// [`LONGEST_HEAD`].
pub(super) fn read_head(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let read = file.by_ref().take(PIECE).read_to_end(&mut head)?;
        // The end may have begun in the piece before.
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

/// Removes a letter. From the first step on it is not there any more.
pub(super) fn remove_both(dir: &Path, id: &Id) -> io::Result<()> {
    remove(&path(dir, id, JSON))?;
    remove(&path(dir, id, HTTP))
}

/// Removes a file, which somebody may have removed before.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
