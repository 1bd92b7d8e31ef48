//! Directories that are neither a spool nor dead letters: nothing is made in them.

use std::fs;
use std::path::Path;

use crate::support::{Relay, SOON, Upstream, command::pyrotee, eventually};

/// A directory as other programs have it.
fn foreign() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("passwd"), "root:x:0:0\n").unwrap();
    fs::create_dir(dir.path().join("cron.d")).unwrap();
    dir
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn no_command_makes_a_file_in_it() {
    let dir = foreign();
    let path = dir.path().to_str().unwrap();
    let out = dir.path().join("out");
    for args in [
        &["spool", "stats"][..],
        &["spool", "verify"],
        &["spool", "export", "--out", out.to_str().unwrap()],
        &["spool", "purge", "--removed"],
        &["spool", "purge", "--quarantined"],
        &["spool", "purge", "--target", "central"],
        &[
            "spool",
            "replay",
            "--target",
            "central",
            "--to",
            "http://127.0.0.1:1",
        ],
        &["dead-letters", "ls"],
        &["dead-letters", "purge", "--all"],
        &[
            "dead-letters",
            "replay",
            "--all",
            "--to",
            "http://127.0.0.1:1",
        ],
    ] {
        let done = pyrotee(&[args, &["--dir", path]].concat());
        assert_ne!(done.code, Some(0), "{args:?}: {done:?}");
        assert!(done.err.contains(path), "{args:?}: {done:?}");
        assert_eq!(names(dir.path()), ["cron.d", "passwd"], "{args:?}");
    }
}

#[test]
fn a_relay_relays_and_says_that_the_directory_is_not_its_own() {
    for section in ["spool", "dead-letters"] {
        let dir = foreign();
        let target = Upstream::ok();
        let relay = Relay::builder()
            .yaml(&format!(
                "{section}: {{ dir: \"{}\" }}",
                dir.path().display()
            ))
            .target("central", &target, &[])
            .spawn_with_waiting_spool();
        eventually(SOON, "the reason in the log", || {
            relay.output().contains("has other files, such as passwd")
        });
        let admin = relay.admin().to_string();
        let ready = pyrotee(&["healthcheck", "--admin", &admin]);
        assert_eq!(ready.code, Some(0), "{ready:?}");
        assert!(ready.out.contains("has other files"), "{ready:?}");
        drop(relay);
        assert_eq!(names(dir.path()), ["cron.d", "passwd"], "{section}");
    }
}
