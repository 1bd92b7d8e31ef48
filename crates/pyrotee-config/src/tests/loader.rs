//! Tests that load a configuration again.

use std::{fs, path::PathBuf};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::{Config, ConfigText, Credentials, FileContents, Loaded, Loader, Sources};

/// A configuration file and its loader. Relative files are in the same directory.
pub(super) struct Place {
    dir: TempDir,
    pub(super) loader: Loader,
}

impl Place {
    pub(super) fn new(yaml: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let credentials = dir.path().display().to_string();
        let loader = Loader::new(Sources {
            file: Some(dir.path().join("pyrotee.yaml")),
            env: vec![("CREDENTIALS_DIRECTORY".to_owned(), credentials)],
            cpus: 2,
            ..Sources::default()
        });
        let place = Self { dir, loader };
        place.write("pyrotee.yaml", yaml);
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(super) fn load(&self) -> (ConfigText, Loaded) {
        let text = self.loader.read().unwrap();
        let loaded = self.loader.load(&text, &FileContents::default());
        (text, loaded.unwrap_or_else(|faults| panic!("{faults}")))
    }
}

/// A file with one target for each token, all of them `${file:…}`.
pub(super) fn with_tokens(files: &[&str]) -> String {
    let mut text = "remote-write:\n  enabled: true\n  targets:\n".to_owned();
    for file in files {
        text.push_str(&format!(
            "    {file}: {{ address: https://{file}, auth-token: \"${{file:{file}}}\" }}\n"
        ));
    }
    text
}

pub(super) fn tokens(config: &Config) -> Vec<&str> {
    let targets = config.remote_write.targets.iter();
    targets
        .map(|target| match &target.credentials {
            Some(Credentials::Bearer(token)) => token.expose_secret(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn the_text_in_force_takes_a_new_secret_while_the_file_on_disk_is_broken() {
    let place = Place::new(&with_tokens(&["bar"]));
    place.write("bar", "old\n");
    let (text, in_force) = place.load();
    assert_eq!(tokens(&in_force.config), ["old"]);
    place.write("pyrotee.yaml", "listen: [\n");
    place.write("bar", "new\n");
    let look = in_force.files.reread();
    let rotated = place
        .loader
        .rotate(&text, &in_force.files, &look.contents)
        .loaded;
    assert_eq!(tokens(&rotated.unwrap().config), ["new"]);
    let broken = place.loader.read_again(&text).unwrap();
    assert_ne!(broken, text);
    place.loader.load(&broken, &in_force.files).unwrap_err();
}

#[test]
fn given_contents_are_used_and_the_other_files_read() {
    let place = Place::new(&with_tokens(&["bar", "baz"]));
    place.write("bar", "old-bar");
    place.write("baz", "old-baz");
    let (_, old) = place.load();
    place.write("bar", "new-bar");
    place.write("qux", "qux");
    place.write("pyrotee.yaml", with_tokens(&["bar", "qux"]));
    let text = place.loader.read().unwrap();
    let kept = place.loader.load(&text, &old.files).unwrap();
    assert_eq!(tokens(&kept.config), ["old-bar", "qux"]);
    let paths: Vec<_> = kept.files.paths().collect();
    assert_eq!(paths, [place.path("bar"), place.path("qux")]);
    let fresh = place.loader.load(&text, &FileContents::default()).unwrap();
    assert_eq!(tokens(&fresh.config), ["new-bar", "qux"]);
}

#[test]
fn a_file_that_is_named_twice_is_the_same_in_both_places() {
    let yaml = format!("admin-token: ${{file:bar}}\n{}", with_tokens(&["bar"]));
    let place = Place::new(&yaml);
    place.write("bar", "t");
    let (_, loaded) = place.load();
    assert_eq!(loaded.files.paths().count(), 1);
    let admin = loaded.config.admin_token.unwrap();
    assert_eq!(admin.expose_secret(), "t");
}

#[test]
fn faults_of_a_load_are_those_of_the_start() {
    let faulty = format!("listen: 4040\n{}", with_tokens(&["none", "empty", "bad"]));
    let place = Place::new(&with_tokens(&["bar"]));
    for (name, content) in [("bar", "t"), ("empty", "\n"), ("bad", "s3cr3t\nx")] {
        place.write(name, content);
    }
    let (text, in_force) = place.load();
    place.write("pyrotee.yaml", faulty);
    let again = place.loader.read_again(&text).unwrap();
    let again = place.loader.load(&again, &in_force.files).unwrap_err();
    let start = crate::load(Sources {
        file: Some(place.path("pyrotee.yaml")),
        env: vec![(
            "CREDENTIALS_DIRECTORY".to_owned(),
            place.path("").display().to_string(),
        )],
        cpus: 2,
        ..Sources::default()
    });
    let start = start.unwrap_err().to_string();
    assert_eq!(again.to_string(), start);
    for says in [
        "listen: `4040` has no `:`",
        "none.auth-token: the file",
        "/empty` is empty; write the value into it",
        "bad.auth-token: has white space, a line break",
        "4 faults",
    ] {
        assert!(start.contains(says), "{says}: {start}");
    }
    assert!(!start.contains("s3cr3t"), "{start}");
}

#[test]
fn texts_are_compared_by_their_content() {
    let place = Place::new("listen: :1\n");
    let (text, _) = place.load();
    place.write("pyrotee.yaml", "listen: :1\n");
    assert_eq!(place.loader.read_again(&text).unwrap(), text);
    let next = place.path("next");
    fs::write(&next, "listen: :2\n").unwrap();
    fs::rename(&next, place.path("pyrotee.yaml")).unwrap();
    let other = place.loader.read_again(&text).unwrap();
    assert_ne!(other, text);
    assert!(!format!("{other:?}").contains(":2"));
}

#[test]
fn a_file_that_is_missing_or_has_become_empty_is_a_fault() {
    let place = Place::new("listen: :1\n");
    let (text, _) = place.load();
    let fault = || place.loader.read_again(&text).unwrap_err().to_string();
    place.write("pyrotee.yaml", " \n");
    assert!(fault().contains("pyrotee.yaml: has become empty"));
    place.write("pyrotee.yaml", b"listen: :1\n\xff");
    assert!(fault().contains("pyrotee.yaml:2: is not UTF-8"));
    fs::remove_file(place.path("pyrotee.yaml")).unwrap();
    assert!(fault().contains("pyrotee.yaml: cannot be read (No such file"));
}

#[test]
fn a_file_that_was_empty_may_stay_empty() {
    let place = Place::new("");
    let (text, _) = place.load();
    assert_eq!(place.loader.read_again(&text).unwrap(), text);
}

#[test]
fn without_a_file_the_text_never_changes() {
    let loader = Loader::new(Sources::default());
    let text = loader.read().unwrap();
    let loaded = loader.load(&text, &FileContents::default()).unwrap();
    assert!(loaded.files.is_empty());
    assert_eq!(loader.read_again(&text).unwrap(), text);
    assert_eq!(loader.read().unwrap(), text);
}

#[test]
fn a_loader_shows_no_secret() {
    let place = Place::new(&with_tokens(&["bar"]));
    place.write("bar", "s3cr3t");
    let (text, loaded) = place.load();
    let shown = format!("{:?} {text:?} {loaded:?}", place.loader);
    assert!(!shown.contains("s3cr3t"), "{shown}");
    assert!(shown.contains("pyrotee.yaml"), "{shown}");
}
