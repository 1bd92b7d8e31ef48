//! Files that a running relay reads again, and the ways in which people and programs replace them.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

/// A file that is rewritten while a relay reads it: a configuration, or a file that the configuration names.
#[derive(Clone, Debug)]
pub(crate) struct LiveFile {
    path: PathBuf,
}

impl LiveFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn read(&self) -> String {
        fs::read_to_string(&self.path).expect("the file can be read")
    }

    /// Writes a file beside this one and renames it over this one, as `mv` does.
    pub(crate) fn rename_over(&self, text: &str) {
        let new = self.beside(".new");
        fs::write(&new, text).expect("the directory can be written to");
        fs::rename(&new, &self.path).expect("a file can be renamed");
    }

    /// Copies another file over this one, as `cp` does: the file stays, its content is replaced.
    pub(crate) fn copy_over(&self, text: &str) {
        let other = self.beside(".other");
        fs::write(&other, text).expect("the directory can be written to");
        fs::copy(&other, &self.path).expect("a file can be copied");
        fs::remove_file(&other).expect("a file can be removed");
    }

    /// Empties the file, and writes the new content after a moment.
    pub(crate) fn truncate_and_write(&self, text: &str) {
        let mut file = File::create(&self.path).expect("the file can be written to");
        thread::sleep(Duration::from_millis(20));
        file.write_all(text.as_bytes())
            .expect("the file can be written to");
    }

    /// Renames the file to a backup, writes a new file, and removes the backup, as `vim` does.
    pub(crate) fn edit(&self, text: &str) {
        let backup = self.beside("~");
        fs::rename(&self.path, &backup).expect("a file can be renamed");
        let mut file = File::create(&self.path).expect("the directory can be written to");
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .expect("the file can be written to");
        fs::remove_file(&backup).expect("a file can be removed");
    }

    /// Replaces the content by one that a script writes in two parts, with `pause` in between.
    pub(crate) fn write_in_two_parts(&self, text: &str, at: usize, pause: impl FnOnce()) {
        let (first, second) = text.split_at(at);
        let mut file = File::create(&self.path).expect("the file can be written to");
        file.write_all(first.as_bytes())
            .expect("the file can be written to");
        pause();
        file.write_all(second.as_bytes())
            .expect("the file can be written to");
    }

    /// Sets the time of the last change and leaves the content as it is.
    pub(crate) fn touch(&self) {
        let file = File::options().write(true).open(&self.path);
        let file = file.expect("the file can be written to");
        file.set_modified(SystemTime::now())
            .expect("the file system keeps times");
    }

    pub(crate) fn remove(&self) {
        fs::remove_file(&self.path).expect("the file can be removed");
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

/// A directory as Kubernetes mounts a ConfigMap or a Secret: each file is a link into `..data`, which is a link to the
/// directory of one version.
#[derive(Debug)]
pub(crate) struct Mount {
    directory: PathBuf,
    version: usize,
}

impl Mount {
    /// Mounts files with these names and contents in a directory. A file of the same name is replaced.
    pub(crate) fn new(directory: &Path, files: &[(&str, &str)]) -> Self {
        let mut mount = Self {
            directory: directory.to_owned(),
            version: 0,
        };
        mount.swap(files);
        for (name, _) in files {
            let (link, file) = (directory.join("..link"), directory.join(name));
            symlink(Path::new("..data").join(name), &link).expect("a link can be made");
            fs::rename(&link, &file).expect("a link can be renamed");
        }
        mount
    }

    /// Replaces all files in one step.
    pub(crate) fn swap(&mut self, files: &[(&str, &str)]) {
        let old = self.version_directory();
        self.version += 1;
        let new = self.version_directory();
        fs::create_dir(&new).expect("a directory can be made");
        for (name, text) in files {
            fs::write(new.join(name), text).expect("the directory can be written to");
        }
        let link = self.directory.join("..data_tmp");
        symlink(&new, &link).expect("a link can be made");
        fs::rename(&link, self.directory.join("..data")).expect("a link can be renamed");
        if old.exists() {
            fs::remove_dir_all(&old).expect("the old version can be removed");
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn version_directory(&self) -> PathBuf {
        self.directory.join(format!("..version_{}", self.version))
    }
}
