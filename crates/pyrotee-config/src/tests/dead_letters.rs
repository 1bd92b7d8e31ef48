//! The keys of dead letters.

use std::path::Path;

use super::{target, yaml};
use crate::DeadLetters;

fn letters(text: &str) -> Option<DeadLetters> {
    let config = yaml(text).config();
    let written = config.to_yaml();
    let again = yaml(&written).config();
    assert_eq!(again.to_yaml(), written);
    assert_eq!(again.dead_letters.is_some(), config.dead_letters.is_some());
    config.dead_letters
}

#[test]
fn there_are_none_without_a_directory_or_a_spool() {
    assert!(target("").config().dead_letters.is_none());
    assert!(letters("dead-letters: {}\n").is_none());
    yaml("dead-letters:\n  max-bytes: 1GiB\n").fault_is(
        "pyrotee.yaml:1: dead-letters.dir: is missing, and there is no spool; write the directory of the dead \
         letters, such as /var/lib/pyrotee/dead-letters",
    );
}

#[test]
fn they_have_a_directory_of_their_own() {
    let letters = letters("dead-letters:\n  dir: /data/dead\n").unwrap();
    assert_eq!(letters.dir, Path::new("/data/dead"));
    assert_eq!(letters.max_bytes, 64 << 20);
}

#[test]
fn a_spool_has_them_inside_unless_they_are_not_wanted() {
    let spool = "spool:\n  dir: /data/spool\n";
    let inside = letters(spool).unwrap();
    assert_eq!(inside.dir, Path::new("/data/spool/dead-letters"));
    let smaller = letters(&format!("{spool}dead-letters:\n  max-bytes: 1MiB\n")).unwrap();
    assert_eq!((smaller.dir, smaller.max_bytes), (inside.dir, 1 << 20));
    let elsewhere = letters(&format!("{spool}dead-letters:\n  dir: /d\n")).unwrap();
    assert_eq!(elsewhere.dir, Path::new("/d"));
    assert!(letters(&format!("{spool}dead-letters:\n  max-bytes: 0\n")).is_none());
}

#[test]
fn faults_say_what_to_write() {
    yaml("dead-letters:\n  dir: /d\n  max-bytes: 64KiB\n").fault_is(
        "pyrotee.yaml:3: dead-letters.max-bytes: `64KiB` is too little for dead letters; write 1MiB or more",
    );
    yaml("spool:\n  dir: /s\ndead-letters:\n  dir: /s\n").fault_is(
        "pyrotee.yaml:4: dead-letters.dir: is the directory of the spool; write another, such as /s/dead-letters",
    );
}
