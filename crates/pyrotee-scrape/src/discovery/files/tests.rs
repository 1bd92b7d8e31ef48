use std::process::Command;

use super::*;

const A: &str = r#"[{"application":"a","targets":["a:1"]}]"#;
const B: &str = "- application: b\n  targets: [b:1]\n";

fn applications(files: &Files) -> Vec<String> {
    files
        .groups()
        .into_iter()
        .map(|it| it.application)
        .collect()
}

#[test]
fn changed_files_are_read_and_removed_ones_lose_their_groups() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let patterns = [path("*.json"), path("b.yml"), path("*.yml")];
    fs::write(path("a.json"), A).unwrap();
    fs::write(path("b.yml"), B).unwrap();
    fs::write(path("c.txt"), "x").unwrap();
    let mut files = Files::default();
    assert!(files.look(&patterns, false).errors.is_empty());
    assert_eq!(applications(&files), ["a", "b"]);
    let label = files.groups()[0].labels["__meta_filepath"].clone();
    assert_eq!(label, path("a.json").to_string_lossy());

    fs::write(path("a.json"), A.replace("\"a\"", "\"other\"")).unwrap();
    fs::remove_file(path("b.yml")).unwrap();
    let look = files.look(&patterns, false);
    assert_eq!(applications(&files), ["other"]);
    assert_eq!(look.errors.len(), 2, "{look:?}");
    assert!(look.errors[0].starts_with("no file is named"), "{look:?}");
    assert_eq!(look.failures, 0);
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_groups() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    let patterns = [dir.path().join("*.json")];
    fs::write(&path, A).unwrap();
    let mut files = Files::default();
    files.look(&patterns, false);

    fs::write(&path, "[{").unwrap();
    let look = files.look(&patterns, false);
    assert!(
        look.errors[0].ends_with("a.json: it is not JSON"),
        "{look:?}"
    );
    assert_eq!(
        (applications(&files), look.failures),
        (vec!["a".to_owned()], 1)
    );
    // It has not changed: the error stays, and is not counted again until all files are read.
    let look = files.look(&patterns, false);
    assert_eq!((look.errors.len(), look.failures), (1, 0));
    assert_eq!(files.look(&patterns, true).failures, 1);

    // A symlink to itself: it is there, and cannot be opened.
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    assert_eq!(files.look(&patterns, false).failures, 1);
    assert_eq!(applications(&files), ["a"]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, A).unwrap();
    assert!(files.look(&patterns, false).errors.is_empty());
}

#[test]
fn what_has_no_end_or_is_too_long_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.json");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let long = dir.path().join("long.json");
    File::create(&long).unwrap().set_len(MAX_BYTES + 1).unwrap();
    let look = Files::default().look(&[dir.path().join("*.json")], false);
    assert_eq!(look.failures, 2);
    assert!(
        look.errors[0].contains("longer than 4194304 bytes"),
        "{look:?}"
    );
    assert!(look.errors[1].contains("no regular file"), "{look:?}");
}

#[test]
fn a_directory_that_cannot_be_listed_keeps_its_files_and_one_that_is_gone_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let sub = dir.path().join("sub");
    fs::create_dir(&sub).unwrap();
    fs::write(sub.join("a.json"), A).unwrap();
    let patterns = [sub.join("*.json")];
    let mut files = Files::default();
    files.look(&patterns, false);
    assert_eq!(applications(&files), ["a"]);
    fs::rename(&sub, dir.path().join("other")).unwrap();
    fs::write(&sub, "a file in the place of the directory").unwrap();
    let look = files.look(&patterns, false);
    assert!(
        look.errors[0].starts_with("cannot list the directory of"),
        "{look:?}"
    );
    assert_eq!(applications(&files), ["a"]);
    fs::remove_file(&sub).unwrap();
    let look = files.look(&patterns, false);
    assert!(look.is_changed && applications(&files).is_empty());
}
