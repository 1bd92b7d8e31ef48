//! Files that a configuration names in `${file:PATH}`: their contents, and the next look at them.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use crate::disk;

/// Limit of a file in `${file:PATH}`, in bytes: more than any token has.
pub(crate) const LARGEST: u64 = 64 * 1024;

/// How often one look reads the files, if symlinks are moved meanwhile.
const LOOKS: usize = 3;

/// Contents of the files that a configuration names in `${file:PATH}`, by absolute path.
///
/// A content is the value that the configuration gets, without the line break at the end of the file. Contents count
/// as secrets: `Debug` shows the paths alone.
#[derive(Clone, Default)]
pub struct FileContents(BTreeMap<PathBuf, SecretString>);

/// What one look at all files found.
#[derive(Clone, Debug)]
pub struct Reread {
    /// The contents now; the last good content of each file in `stale`.
    pub contents: FileContents,
    /// Whether a content differs from the one before the look.
    pub changed: bool,
    /// Files that cannot be used as they are now and keep their last good content.
    pub stale: Vec<StaleFile>,
}

/// A file that keeps its last good content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleFile {
    pub path: PathBuf,
    /// Why the present content is not used. Shows nothing of any content.
    pub text: String,
}

impl FileContents {
    /// Whether the configuration names no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Reads each file again. A file that is missing, unreadable, no regular file, empty, too large or not UTF-8
    /// keeps its content.
    ///
    /// Takes the contents of all files at one moment if symlinks are what changes, so that user and password of a
    /// Kubernetes Secret are of the same version. Reads from the disk, so it blocks its thread.
    #[must_use]
    pub fn reread(&self) -> Reread {
        let mut contents = self.clone();
        let mut stale = Vec::new();
        let paths: Vec<&Path> = self.paths().collect();
        for (path, found) in paths.iter().zip(look(&paths)) {
            match found {
                Ok(content) => {
                    contents.0.insert((*path).to_owned(), content);
                }
                Err(text) => stale.push(StaleFile {
                    path: (*path).to_owned(),
                    text,
                }),
            }
        }
        let changed = contents != *self;
        Reread {
            contents,
            changed,
            stale,
        }
    }

    /// The contents that two looks in a row agree on: of each file the content of this look if the look before found
    /// the same, else the content `in_force`. So a file that is being written is not taken.
    #[must_use]
    pub fn agreed(&self, before: &Self, in_force: &Self) -> Self {
        let contents = in_force.0.iter().map(|(path, old)| {
            let (now, before) = (self.0.get(path), before.0.get(path));
            let agreed = now.filter(|now| before.is_some_and(|before| is_same(now, before)));
            (path.clone(), agreed.unwrap_or(old).clone())
        });
        Self(contents.collect())
    }

    /// Paths of the files whose content is another one in `other`; both have the same files.
    pub(crate) fn changed_in(&self, other: &Self) -> Vec<PathBuf> {
        let changed = self.0.iter().filter(|(path, content)| {
            let other = other.0.get(*path);
            other.is_some_and(|other| !is_same(content, other))
        });
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// These contents, with the content of one file from `other`.
    pub(crate) fn with(&self, path: &Path, other: &Self) -> Self {
        let mut with = self.clone();
        if let Some(content) = other.0.get(path) {
            with.0.insert(path.to_owned(), content.clone());
        }
        with
    }
}

impl PartialEq for FileContents {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): ((&PathBuf, &SecretString), (&PathBuf, &SecretString))| {
            one.0 == other.0 && is_same(one.1, other.1)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Eq for FileContents {}

impl fmt::Debug for FileContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// The files of one load: each is taken from the given contents, or else read from the disk, once.
pub(crate) struct Files<'a> {
    given: &'a FileContents,
    used: FileContents,
    /// Directory of the credentials that systemd hands over; relative paths are in it.
    credentials: Option<&'a str>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(given: &'a FileContents, credentials: Option<&'a str>) -> Self {
        Self {
            given,
            used: FileContents::default(),
            credentials,
        }
    }

    /// The contents of the files that were asked for.
    pub(crate) fn into_used(self) -> FileContents {
        self.used
    }

    /// The content of the file in `${file:PATH}`; as error the text of a fault.
    pub(crate) fn content(&mut self, path: &str) -> Result<SecretString, String> {
        let place = self.place(path)?;
        let known = self.used.0.get(&place).or(self.given.0.get(&place));
        let content = match known {
            Some(content) => content.clone(),
            None => look(&[&place])
                .pop()
                .unwrap_or_else(|| Err(format!("the file `{path}` cannot be read")))?,
        };
        self.used.0.insert(place, content.clone());
        Ok(content)
    }

    /// The absolute path of a file. A path that is not absolute names a credential of the service (systemd.exec(5),
    /// `LoadCredential=`).
    fn place(&self, path: &str) -> Result<PathBuf, String> {
        match (Path::new(path), self.credentials) {
            (path, _) if path.is_absolute() => Ok(path.to_owned()),
            (path, Some(credentials)) => Ok(Path::new(credentials).join(path)),
            (_, None) => Err(format!(
                "`${{file:{path}}}` has no absolute path; write one, or have systemd hand it over: \
                 LoadCredential={path}:/PATH"
            )),
        }
    }
}

/// The contents of files at one moment, as values. A file's error is the text of a fault.
///
/// Follows the symlinks of all paths, reads the files, and begins again if the symlinks lead elsewhere by then: `..data`
/// of Kubernetes moves for all files of a Secret at once. If the symlinks move during every try, no content is used.
fn look(paths: &[&Path]) -> Vec<Result<SecretString, String>> {
    let follow = || -> Vec<PathBuf> {
        // A path that cannot be followed fails again when the file is read, with a better text.
        let canonical = |path: &&Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        paths.iter().map(canonical).collect()
    };
    let mut followed = follow();
    for _ in 0..LOOKS {
        let found = paths.iter().zip(&followed);
        let found = found.map(|(path, place)| value(path, place)).collect();
        let again = follow();
        if again == followed {
            return found;
        }
        followed = again;
    }
    let moving = |path: &&Path| {
        let path = path.display();
        Err(format!("the file `{path}` was being replaced; look again"))
    };
    paths.iter().map(moving).collect()
}

/// The content of the file at `place`, without its final line break. Texts name the file by its `path`.
fn value(path: &Path, place: &Path) -> Result<SecretString, String> {
    let path = path.display();
    let unreadable = |why: &str| {
        format!(
            "the file `{path}` cannot be read: {why}; see that it is a file of text that may be read"
        )
    };
    let Some(bytes) = disk::read(place, LARGEST).map_err(|error| unreadable(&error.to_string()))?
    else {
        return Err(format!(
            "the file `{path}` has more than {LARGEST} bytes; name one that holds the value and nothing else"
        ));
    };
    let mut text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    if text.is_empty() {
        return Err(format!(
            "the file `{path}` is empty; write the value into it"
        ));
    }
    Ok(SecretString::from(text))
}
