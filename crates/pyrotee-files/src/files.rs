//! Files that a configuration names, in `${file:PATH}` and in the sections of TLS: their contents, and the next look
//! at them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use pyrotee_tls::PemFile;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    disk,
    named_file::{NamedFile, Place},
};

/// How often one look reads the files, if symlinks are moved meanwhile.
const LOOKS: usize = 3;

/// Contents of the files that a configuration names, by absolute path.
///
/// The content of a file in `${file:PATH}` is the value that the configuration gets, without the line break at the end of
/// the file. The files of one section of TLS are a unit: their contents change together or not at all. Contents count as
/// secrets: `Debug` shows the paths alone.
#[derive(Clone, Default)]
pub struct FileContents(BTreeMap<NamedFile, SecretString>);

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

    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(|file| file.path.as_path())
    }

    /// Reads each file again. A file that is missing, unreadable, no regular file, empty, too large or not UTF-8
    /// keeps its content, and so do the other files of its unit.
    ///
    /// Takes the contents of all files at one moment if symlinks are what changes, so that user and password of a
    /// Kubernetes Secret are of the same version. Reads from the disk, so it blocks its thread.
    #[must_use]
    pub fn reread(&self) -> Reread {
        let mut contents = self.clone();
        let mut stale = Vec::new();
        let files: Vec<&NamedFile> = self.0.keys().collect();
        let found: Vec<_> = files.iter().copied().zip(look(&files)).collect();
        for unit in found.chunk_by(|(one, _), (other, _)| one.is_in_unit_of(other)) {
            let is_whole = unit.iter().all(|(_, found)| found.is_ok());
            for (file, found) in unit {
                match found {
                    Ok(content) if is_whole => {
                        contents.0.insert((*file).clone(), content.clone());
                    }
                    Ok(_) => {}
                    Err(text) => stale.push(StaleFile::of(file, text)),
                }
            }
        }
        let changed = contents != *self;
        Reread {
            contents,
            changed,
            stale,
        }
    }

    /// The contents that two looks in a row agree on: of each unit the contents of this look if the look before found
    /// the same, else the contents `in_force`. So a file that is being written is not taken.
    #[must_use]
    pub fn agreed(&self, before: &Self, in_force: &Self) -> Self {
        let mut agreed = in_force.clone();
        for unit in in_force.units() {
            let is_agreed = |file: &&NamedFile| match (self.0.get(*file), before.0.get(*file)) {
                (Some(now), Some(before)) => is_same(now, before),
                _ => false,
            };
            if unit.iter().all(is_agreed) {
                agreed = agreed.with(&unit, self);
            }
        }
        agreed
    }

    /// The files of each unit.
    fn units(&self) -> Vec<Vec<&NamedFile>> {
        let files: Vec<&NamedFile> = self.0.keys().collect();
        let units = files.chunk_by(|one, other| one.is_in_unit_of(other));
        units.map(<[_]>::to_vec).collect()
    }

    /// The files whose content is another one in `other`, by unit; both have the same files.
    #[must_use]
    pub fn changed_in(&self, other: &Self) -> Vec<Vec<&NamedFile>> {
        let mut units = self.units();
        for unit in &mut units {
            unit.retain(|file| match (self.0.get(*file), other.0.get(*file)) {
                (Some(old), Some(new)) => !is_same(old, new),
                _ => false,
            });
        }
        units.retain(|unit| !unit.is_empty());
        units
    }

    /// These contents, with the contents of some files from `other`.
    #[must_use]
    pub fn with(&self, files: &[&NamedFile], other: &Self) -> Self {
        let mut with = self.clone();
        for file in files {
            if let Some(content) = other.0.get(*file) {
                with.0.insert((*file).clone(), content.clone());
            }
        }
        with
    }
}

impl StaleFile {
    /// The file keeps its content, and `text` says why the present one is not used.
    #[must_use]
    pub fn of(file: &NamedFile, text: &str) -> Self {
        let text = match &file.place {
            Place::Value => text.to_owned(),
            Place::Tls(section) => {
                format!("{text} (all files of `{section}` keep their last good content)")
            }
        };
        let path = file.path.clone();
        Self { path, text }
    }
}

impl PartialEq for FileContents {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): ((&NamedFile, &SecretString), (&NamedFile, &SecretString))| {
            one.0 == other.0 && is_same(one.1, other.1)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Eq for FileContents {}

impl fmt::Debug for FileContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.paths()).finish()
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// The files of one load: each is taken from the given contents, or else read from the disk, once.
#[derive(Debug)]
pub struct Files<'a> {
    given: &'a FileContents,
    used: RefCell<FileContents>,
    /// Directory of the credentials that systemd hands over; relative paths are in it.
    credentials: Option<&'a str>,
}

impl<'a> Files<'a> {
    /// The contents in `given` are used as they are. `credentials` is the directory of a service's credentials; `None`: paths
    /// that are not absolute are faults.
    #[must_use]
    pub fn new(given: &'a FileContents, credentials: Option<&'a str>) -> Self {
        Self {
            given,
            used: RefCell::default(),
            credentials,
        }
    }

    /// The contents of the files that were asked for.
    #[must_use]
    pub fn into_used(self) -> FileContents {
        self.used.into_inner()
    }

    /// The content of the file in `${file:PATH}`.
    ///
    /// # Errors
    /// The text of a fault: the path is not absolute, or the file cannot be used.
    pub fn content(&self, path: &str) -> Result<SecretString, String> {
        let path = self.place(path, |path| format!("${{file:{path}}}"))?;
        self.value(path)
    }

    fn value(&self, path: PathBuf) -> Result<SecretString, String> {
        let place = Place::Value;
        let mut contents = self.contents(vec![NamedFile { place, path }]);
        let unread = || Err("the file was not read; please report this".to_owned());
        contents.pop().unwrap_or_else(unread)
    }

    /// The absolute path of a file of credentials, and its content.
    ///
    /// # Errors
    /// As [`Files::content`].
    pub fn credentials(&self, path: &str) -> Result<(PathBuf, SecretString), String> {
        let path = self.place(path, str::to_owned)?;
        Ok((path.clone(), self.value(path)?))
    }

    /// The files of the section of TLS with this path, at one moment; as errors the texts of faults.
    pub fn pem_files(&self, section: &str, paths: &[&str]) -> Vec<Result<PemFile, String>> {
        let section: Arc<str> = section.into();
        let place = |path: &&str| {
            let path = self.place(path, str::to_owned)?;
            let place = Place::Tls(Arc::clone(&section));
            Ok(NamedFile { place, path })
        };
        let places: Vec<Result<NamedFile, String>> = paths.iter().map(place).collect();
        let mut contents = self
            .contents(places.iter().flatten().cloned().collect())
            .into_iter();
        let pem = |(place, path): (Result<_, _>, &&str)| {
            place?;
            let content = contents.next().unwrap_or(Ok(SecretString::default()))?;
            // Labels and faults name the file as the configuration does.
            Ok(PemFile::from_text(path, content))
        };
        places.into_iter().zip(paths).map(pem).collect()
    }

    /// The contents of the files of one unit. If one of them is not known, all are read.
    fn contents(&self, files: Vec<NamedFile>) -> Vec<Result<SecretString, String>> {
        let mut used = self.used.borrow_mut();
        let known = |file| used.0.get(file).or(self.given.0.get(file)).cloned();
        let known: Option<Vec<_>> = files.iter().map(known).collect();
        let contents = match known {
            Some(contents) => contents.into_iter().map(Ok).collect(),
            None => look(&files.iter().collect::<Vec<_>>()),
        };
        for (file, content) in files.into_iter().zip(&contents) {
            if let Ok(content) = content {
                used.0.insert(file, content.clone());
            }
        }
        contents
    }

    /// The absolute path of a file. A path that is not absolute names a credential of the service (systemd.exec(5),
    /// `LoadCredential=`).
    fn place(&self, path: &str, written: fn(&str) -> String) -> Result<PathBuf, String> {
        match (Path::new(path), self.credentials) {
            (absolute, _) if absolute.is_absolute() => Ok(absolute.to_owned()),
            (relative, Some(credentials)) => Ok(Path::new(credentials).join(relative)),
            (_, None) => Err(format!(
                "`{}` has no absolute path; write one, or have systemd hand it over: \
                 LoadCredential={path}:/PATH",
                written(path)
            )),
        }
    }
}

/// The contents of files at one moment. A file's error is the text of a fault.
///
/// Follows the symlinks of all paths, reads the files, and begins again if the symlinks lead elsewhere by then: `..data`
/// of Kubernetes moves for all files of a Secret at once. If the symlinks move during every try, no content is used.
fn look(files: &[&NamedFile]) -> Vec<Result<SecretString, String>> {
    let follow = || -> Vec<PathBuf> {
        // A path that cannot be followed fails again when the file is read, with a better text.
        let canonical = |file: &&NamedFile| {
            let path = &file.path;
            path.canonicalize().unwrap_or_else(|_| path.clone())
        };
        files.iter().map(canonical).collect()
    };
    let mut followed = follow();
    for _ in 0..LOOKS {
        let found = files.iter().zip(&followed);
        let found = found.map(|(file, place)| content(file, place)).collect();
        let again = follow();
        if again == followed {
            return found;
        }
        followed = again;
    }
    let moving = |file: &&NamedFile| {
        let path = file.path.display();
        Err(format!("the file `{path}` was being replaced; look again"))
    };
    files.iter().map(moving).collect()
}

/// The content of the file at `place`. Texts name the file by its `path`.
fn content(file: &NamedFile, place: &Path) -> Result<SecretString, String> {
    let (path, largest) = (file.path.display(), file.largest());
    let unreadable = |why: &str| {
        format!(
            "the file `{path}` cannot be read: {why}; see that it is a file of text that may be read"
        )
    };
    let Some(bytes) = disk::read(place, largest).map_err(|error| unreadable(&error.to_string()))?
    else {
        let holds = match file.place {
            Place::Value => "the value",
            Place::Tls(_) => "PEM blocks",
        };
        return Err(format!(
            "the file `{path}` has more than {largest} bytes; name one that holds {holds} and nothing else"
        ));
    };
    match file.place {
        // An empty file, or one that is not text, gets its words where its blocks are read.
        Place::Tls(_) => Ok(PemFile::new(&file.path, bytes).content().clone()),
        Place::Value => {
            let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8"))?;
            value(text, &path)
        }
    }
}

/// The text of a file in `${file:PATH}` without its final line break.
fn value(mut text: String, path: &std::path::Display<'_>) -> Result<SecretString, String> {
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
