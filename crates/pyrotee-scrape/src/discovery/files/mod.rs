//! Files with groups of scrape targets. Everything here waits for a disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glob::Pattern;
use pyroscope_wire::scrape::Group;

use super::document::{MAX_BYTES, Syntax, groups};

/// Most files of one source.
const MAX_FILES: usize = 1_000;

/// Most bytes of the files of one source, together.
const MAX_TOTAL: u64 = 4 * MAX_BYTES;

/// The files of a source, as they were read the last time.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<PathBuf, KnownFile>);

/// What one look at the files found out.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Files that could not be read, and patterns without a file: one line for each.
    pub(super) errors: Vec<String>,
    /// How many files could not be read this time.
    pub(super) failures: u64,
    /// Whether a file was read, or is gone.
    pub(super) is_changed: bool,
}

#[derive(Debug)]
struct KnownFile {
    version: Version,
    /// The groups of the last version that could be read.
    groups: Vec<Group>,
    /// Why this version could not be read.
    error: Option<String>,
}

/// Distinguishes the versions of a file without reading it. An editor may write a new file, or into the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// The groups of all files, in the order of their paths.
    pub(super) fn groups(&self) -> Vec<Group> {
        let groups = self.0.values().flat_map(|file| &file.groups);
        groups.cloned().collect()
    }

    /// Reads the files that `patterns` name and that have changed, or all of them with `reads_all`. A file that cannot be
    /// read keeps its groups, and a file that is gone loses them.
    pub(super) fn look(&mut self, patterns: &[PathBuf], reads_all: bool) -> Look {
        let mut look = Look::default();
        let paths = self.paths(patterns, &mut look);
        let mut before = std::mem::take(&mut self.0);
        let mut total = 0;
        for path in paths {
            let known = before.remove(&path);
            let was_known = known.is_some();
            let Some(file) = read(&path, known, reads_all, &mut total, &mut look) else {
                look.is_changed |= was_known;
                continue;
            };
            look.errors.extend(file.error.clone());
            self.0.insert(path, file);
        }
        look.is_changed |= !before.is_empty();
        look
    }

    /// The files that `patterns` name, each once.
    fn paths(&self, patterns: &[PathBuf], look: &mut Look) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for pattern in patterns {
            let found = matching(pattern);
            match found {
                Ok(found) if found.is_empty() => {
                    let text = format!("no file is named {}", pattern.display());
                    look.errors.push(text);
                }
                Ok(found) => paths.extend(found),
                Err(error) => {
                    let text = format!(
                        "cannot list the directory of {}: {error}",
                        pattern.display()
                    );
                    look.errors.push(text);
                    look.failures += 1;
                    let known = self.0.keys();
                    paths.extend(known.filter(|path| matches(pattern, path)).cloned());
                }
            }
        }
        paths.sort();
        paths.dedup();
        if paths.len() > MAX_FILES {
            let text = format!("{} files match: only {MAX_FILES} are read", paths.len());
            look.errors.push(text);
            look.failures += 1;
            paths.truncate(MAX_FILES);
        }
        paths
    }
}

/// The version of `path` that is there now; `None` if there is no file.
fn read(
    path: &Path,
    known: Option<KnownFile>,
    reads_all: bool,
    total: &mut u64,
    look: &mut Look,
) -> Option<KnownFile> {
    let failed = |error: String| format!("cannot use {}: {error}", path.display());
    let version = match fs::metadata(path) {
        Ok(metadata) => Version::of(&metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            look.failures += 1;
            let error = Some(failed(error.to_string()));
            // Not a version that a file has: it is read again the next time.
            return Some(KnownFile {
                version: Version::NONE,
                groups: known.map(|it| it.groups).unwrap_or_default(),
                error,
            });
        }
    };
    *total += version.len;
    let known = match known {
        Some(known) if known.version == version && !reads_all => return Some(known),
        other => other,
    };
    look.is_changed = true;
    let read = match *total <= MAX_TOTAL {
        true => contents(path).and_then(|bytes| {
            let path = path.to_string_lossy();
            let meta = ("__meta_filepath", &*path);
            groups(&bytes, syntax(&path), meta).map_err(io::Error::other)
        }),
        false => Err(io::Error::other(format!(
            "the files together are longer than {MAX_TOTAL} bytes"
        ))),
    };
    let (groups, error) = match read {
        Ok(groups) => (groups, None),
        Err(error) => {
            look.failures += 1;
            let error = failed(error.to_string());
            (known.map(|it| it.groups).unwrap_or_default(), Some(error))
        }
    };
    Some(KnownFile {
        version,
        groups,
        error,
    })
}

/// The bytes of a regular file: a pipe or a device may have no end.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let text = format!("it is longer than {MAX_BYTES} bytes: split it");
        return Err(io::Error::other(text));
    }
    Ok(bytes)
}

fn syntax(path: &str) -> Syntax {
    match path.to_ascii_lowercase().ends_with(".json") {
        true => Syntax::Json,
        false => Syntax::Yaml,
    }
}

/// The paths of the files that `pattern` names: the path itself, or those in its directory whose names match its last
/// segment.
fn matching(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    if !is_pattern(pattern) {
        let is_there = pattern.try_exists().unwrap_or(true);
        return Ok(Vec::from_iter(is_there.then(|| pattern.to_owned())));
    }
    let parent = pattern.parent().unwrap_or(Path::new(""));
    let dir = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = parent.join(entry?.file_name());
        if matches(pattern, &path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn is_pattern(path: &Path) -> bool {
    last(path).contains('*')
}

/// Whether the file at `path` is one that `pattern` names.
fn matches(pattern: &Path, path: &Path) -> bool {
    let named = Pattern::new(&last(pattern)).map(|it| it.matches(&last(path)));
    pattern == path || pattern.parent() == path.parent() && named.unwrap_or(false)
}

fn last(path: &Path) -> String {
    let name = path.file_name().map(OsStr::to_string_lossy);
    name.unwrap_or_default().into_owned()
}

impl Version {
    const NONE: Self = Self {
        inode: 0,
        len: 0,
        modified: (0, 0),
        changed: (0, 0),
    };

    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests;
