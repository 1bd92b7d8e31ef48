//! Tests that read the files of `${file:PATH}` again.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::symlink,
};

use secrecy::ExposeSecret;

use super::loader::{Place, tokens, with_tokens};
use crate::{Credentials, FileContents, Loaded, Reread};

/// A loaded configuration with the token `old` in the file `bar`.
fn old_token() -> (Place, Loaded) {
    let place = Place::new(&with_tokens(&["bar"]));
    place.write("bar", "old\n");
    let (_, loaded) = place.load();
    (place, loaded)
}

/// The only token, after the contents were put into the configuration.
fn token(place: &Place, contents: &FileContents) -> String {
    let text = place.loader.read().unwrap();
    let loaded = place.loader.load(&text, contents).unwrap();
    tokens(&loaded.config)[0].to_owned()
}

#[track_caller]
fn keeps_old(place: &Place, look: &Reread, says: &str) {
    assert!(!look.changed);
    assert_eq!(look.stale.len(), 1, "{look:?}");
    assert_eq!(look.stale[0].path, place.path("bar"));
    assert!(look.stale[0].text.contains(says), "{look:?}");
    assert_eq!(token(place, &look.contents), "old");
}

#[test]
fn a_bad_file_keeps_its_last_good_content_and_is_named() {
    let (place, loaded) = old_token();
    for (content, says) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"\r\n", "is empty"),
        (b"n\xff", "is not UTF-8"),
        (&[b'x'; 64 * 1024 + 1], "has more than 65536 bytes"),
    ] {
        place.write("bar", content);
        keeps_old(&place, &loaded.files.reread(), says);
    }
    fs::remove_file(place.path("bar")).unwrap();
    keeps_old(&place, &loaded.files.reread(), "cannot be read: No such");
    fs::create_dir(place.path("bar")).unwrap();
    keeps_old(&place, &loaded.files.reread(), "cannot be read");
    fs::remove_dir(place.path("bar")).unwrap();
    place.write("bar", "new");
    let look = loaded.files.reread();
    assert!(look.changed && look.stale.is_empty(), "{look:?}");
}

#[test]
fn a_touch_and_a_final_line_break_are_no_change() {
    let (place, loaded) = old_token();
    for content in ["old\n", "old", "old\r\n"] {
        place.write("bar", content);
        let look = loaded.files.reread();
        assert!(!look.changed && look.stale.is_empty(), "{content:?}");
        assert_eq!(look.contents, loaded.files);
    }
}

#[test]
fn a_half_written_file_is_taken_when_two_looks_agree() {
    let (place, loaded) = old_token();
    let in_force = &loaded.files;
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(place.path("bar"))
        .unwrap();
    let empty = in_force.reread().contents;
    file.write_all(b"ne").unwrap();
    let half = in_force.reread().contents;
    assert_eq!(&half.agreed(&empty, in_force), in_force);
    file.write_all(b"w\n").unwrap();
    let whole = in_force.reread().contents;
    assert_eq!(&whole.agreed(&half, in_force), in_force);
    let again = in_force.reread().contents;
    assert_eq!(token(&place, &again.agreed(&whole, in_force)), "new");
}

#[test]
fn a_file_that_changes_at_every_look_does_not_hold_back_another() {
    let place = Place::new(&with_tokens(&["bar", "baz"]));
    place.write("bar", "a");
    place.write("baz", "a");
    let (text, loaded) = place.load();
    place.write("baz", "b");
    place.write("bar", "b");
    let first = loaded.files.reread().contents;
    place.write("bar", "c");
    let agreed = loaded.files.reread().contents.agreed(&first, &loaded.files);
    let rotated = place.loader.rotate(&text, &loaded.files, &agreed);
    assert_eq!(tokens(&rotated.loaded.unwrap().config), ["a", "b"]);
}

#[test]
fn a_file_replaced_by_a_rename_or_a_moved_symlink_is_seen() {
    let (place, loaded) = old_token();
    place.write("next", "renamed");
    fs::rename(place.path("next"), place.path("bar")).unwrap();
    let look = loaded.files.reread();
    assert_eq!(token(&place, &look.contents), "renamed");

    // As Kubernetes mounts a Secret: `bar` → `..data/bar`, `..data` → a directory for each version.
    let version = |name: &str, content: &str| {
        fs::create_dir(place.path(name)).unwrap();
        place.write(&format!("{name}/bar"), content);
        symlink(name, place.path("..next")).unwrap();
        fs::rename(place.path("..next"), place.path("..data")).unwrap();
    };
    version("..1", "first");
    fs::remove_file(place.path("bar")).unwrap();
    symlink("..data/bar", place.path("bar")).unwrap();
    assert_eq!(token(&place, &loaded.files.reread().contents), "first");
    version("..2", "second");
    fs::remove_dir_all(place.path("..1")).unwrap();
    let look = loaded.files.reread();
    assert!(look.changed && look.stale.is_empty(), "{look:?}");
    assert_eq!(token(&place, &look.contents), "second");
    let paths: Vec<_> = look.contents.paths().collect();
    assert_eq!(paths, [place.path("bar")]);
}

#[test]
fn user_and_password_of_one_version_stay_together() {
    let place = Place::new(
        "remote-write: { targets: { a: { address: https://a, basic-auth-user: \"${file:user}\", \
         basic-auth-password: \"${file:password}\" } } }\n",
    );
    let swap = |version: usize| {
        let name = format!("..{version}");
        fs::create_dir(place.path(&name)).unwrap();
        place.write(&format!("{name}/user"), version.to_string());
        place.write(&format!("{name}/password"), version.to_string());
        symlink(&name, place.path("..next")).unwrap();
        fs::rename(place.path("..next"), place.path("..data")).unwrap();
        if let Some(old) = version.checked_sub(1) {
            fs::remove_dir_all(place.path(&format!("..{old}"))).unwrap();
        }
    };
    swap(0);
    for name in ["user", "password"] {
        symlink(format!("..data/{name}"), place.path(name)).unwrap();
    }
    let (text, loaded) = place.load();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for version in 1..100 {
                swap(version);
                std::thread::yield_now();
            }
        });
        while !writer.is_finished() {
            let look = loaded.files.reread();
            let config = place.loader.load(&text, &look.contents).unwrap().config;
            let Some(Credentials::Basic { user, password }) =
                &config.remote_write.targets[0].credentials
            else {
                panic!("{config:?}");
            };
            assert_eq!(user.expose_secret(), password.expose_secret());
        }
    });
    assert!(loaded.files.reread().stale.is_empty());
}

#[test]
fn a_content_that_makes_a_fault_is_stale_and_stops_no_other() {
    let place = Place::new(&with_tokens(&["bar", "baz"]));
    place.write("bar", "old-bar");
    place.write("baz", "old-baz");
    let (text, loaded) = place.load();
    place.write("bar", "s3cr3t\ntoken\n");
    let look = loaded.files.reread();
    let refused = place.loader.rotate(&text, &loaded.files, &look.contents);
    assert!(refused.loaded.is_none());
    place.write("baz", "new-baz");
    let look = loaded.files.reread();
    let rotated = place.loader.rotate(&text, &loaded.files, &look.contents);
    for stale in [refused.stale, rotated.stale] {
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].path, place.path("bar"));
        let text = &stale[0].text;
        let says = "remote-write.targets.bar.auth-token: has white space, a line break";
        assert!(text.contains(says) && !text.contains("s3cr3t"), "{text}");
    }
    let rotated = rotated.loaded.unwrap();
    assert_eq!(tokens(&rotated.config), ["old-bar", "new-baz"]);
    assert_eq!(rotated.files.paths().count(), 2);
}

fn make_pipe(place: &Place, name: &str) {
    let made = std::process::Command::new("mkfifo")
        .arg(place.path(name))
        .status();
    assert!(made.unwrap().success());
}

#[test]
fn a_pipe_or_a_device_for_a_value_is_a_fault_and_not_a_wait() {
    let place = Place::new(&with_tokens(&["bar"]));
    let refused = || {
        let text = place.loader.read().unwrap();
        let faults = place.loader.load(&text, &FileContents::default());
        let faults = faults.unwrap_err().to_string();
        assert!(faults.contains("it is no regular file"), "{faults}");
    };
    make_pipe(&place, "bar");
    refused();
    fs::remove_file(place.path("bar")).unwrap();
    symlink("/dev/zero", place.path("bar")).unwrap();
    refused();
    fs::remove_file(place.path("bar")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("bar")).unwrap();
    refused();
}

#[test]
fn a_pipe_in_the_place_of_a_file_keeps_the_last_good_content() {
    let (place, loaded) = old_token();
    fs::remove_file(place.path("bar")).unwrap();
    make_pipe(&place, "bar");
    keeps_old(&place, &loaded.files.reread(), "it is no regular file");
}

#[test]
fn a_pipe_for_the_configuration_is_read_once() {
    let (place, loaded) = old_token();
    let text = place.loader.read().unwrap();
    fs::remove_file(place.path("pyrotee.yaml")).unwrap();
    make_pipe(&place, "pyrotee.yaml");
    assert_eq!(place.loader.read_again(&text).unwrap(), text);
    let written = std::thread::scope(|scope| {
        scope.spawn(|| fs::write(place.path("pyrotee.yaml"), with_tokens(&["baz"])));
        place.loader.read().unwrap()
    });
    assert!(written != text);
    assert_eq!(loaded.files.paths().count(), 1);
}
