//! Recognises a directory of letters, so that no file is made in a directory of something else.

use std::fs;
use std::io;
use std::path::Path;

use super::files::{LOCK, find};

/// Whether a process has locked the directory before, or a letter is in it.
pub(super) fn is_of_letters(dir: &Path) -> io::Result<bool> {
    if dir.join(LOCK).try_exists()? {
        return Ok(true);
    }
    let found = find(dir)?;
    Ok(!found.letters.is_empty() || !found.halves.is_empty())
}

/// The name of a file in a directory that is not one of letters and has files; `None` for every other directory.
pub(super) fn foreign(dir: &Path) -> io::Result<Option<String>> {
    if is_of_letters(dir)? {
        return Ok(None);
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Other directories may be there: the spool's, or the `lost+found` of a file system.
        if !entry.file_type()?.is_dir() {
            return Ok(Some(entry.file_name().to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Home, cause, record};
    use super::super::{Error, Store};
    use super::*;

    const LIMIT: u64 = 1 << 20;

    #[test]
    fn a_directory_with_other_files_is_refused_and_not_touched() {
        let home = Home::new();
        let dir = home.dir();
        fs::create_dir(&dir).unwrap();
        fs::create_dir(dir.join("lost+found")).unwrap();
        let store = Store::look(&dir, true);
        assert!(matches!(store, Err(Error::NoDirectory(_))), "{store:?}");

        fs::write(dir.join("passwd"), "mine").unwrap();
        for error in [
            Store::look(&dir, true).unwrap_err(),
            Store::look(&dir, false).unwrap_err(),
        ] {
            assert!(matches!(error, Error::NoDirectory(_)), "{error}");
        }
        let error = Store::open(&dir, LIMIT).unwrap_err().to_string();
        assert!(error.contains("has other files, such as passwd"), "{error}");
        let count = |dir: &Path| fs::read_dir(dir).unwrap().count();
        assert_eq!(count(&dir), 2);

        fs::remove_file(dir.join("passwd")).unwrap();
        drop(home.open());
        // From now on the directory is one of letters, and other files in it are ignored.
        fs::write(dir.join("notes.txt"), "mine").unwrap();
        drop(home.open());
        Store::look(&dir, true).unwrap();
    }

    #[test]
    fn letters_without_a_lock_are_letters() {
        let home = Home::new();
        let store = home.open();
        store
            .keep(
                &record("name=a", 1),
                &cause("a"),
                std::time::SystemTime::now(),
            )
            .unwrap();
        drop(store);
        fs::remove_file(home.dir().join("lock")).unwrap();
        assert_eq!(Store::look(&home.dir(), true).unwrap().size().letters, 1);
        fs::remove_file(home.dir().join("lock")).unwrap();
        assert_eq!(home.open().size().letters, 1);
    }
}
