//! Tests that read the files of the sections of TLS again.

use super::{
    loader::Place,
    pem::{Pair, Pem, VALID},
};
use crate::{Config, FileContents, Loaded, StaleFile};

/// A listener and a target that share no section, with an own directory each, and a token.
struct Rig {
    listener: Pem,
    target: Pem,
    place: Place,
    in_force: Loaded,
}

impl Rig {
    fn new() -> Self {
        let (listener, target) = (Pem::new(), Pem::new());
        let yaml = format!(
            "listen-tls: {{ cert-file: {0}/tls.crt, key-file: {0}/tls.key }}\nremote-write: {{ targets: {{ a: {{ address: \
             https://a, auth-token: \"${{file:token}}\", tls: {{ ca-file: {1}/ca.crt, cert-file: {1}/tls.crt, key-file: \
             {1}/tls.key }} }} }} }}\n",
            listener.dir(),
            target.dir()
        );
        let place = Place::new(&yaml);
        place.write("token", "old");
        let (_, in_force) = place.load();
        Self {
            listener,
            target,
            place,
            in_force,
        }
    }

    /// Takes what two looks find.
    fn rotate(&mut self) -> Vec<StaleFile> {
        let before = self.in_force.files.reread().contents;
        self.rotate_from(&before)
    }

    fn rotate_from(&mut self, before: &FileContents) -> Vec<StaleFile> {
        let look = self.in_force.files.reread();
        let agreed = look.contents.agreed(before, &self.in_force.files);
        let text = self.place.loader.read().unwrap();
        let rotated = self
            .place
            .loader
            .rotate(&text, &self.in_force.files, &agreed);
        if let Some(loaded) = rotated.loaded {
            self.in_force = loaded;
        }
        look.stale.into_iter().chain(rotated.stale).collect()
    }

    /// What differs from `old` in the configuration in force.
    fn changes(&self, old: &Config) -> Vec<String> {
        let changes = old.difference(&self.in_force.config).into_iter();
        let short = |key: String| key.replace("remote-write.targets.a.", "");
        changes.map(|change| short(change.key)).collect()
    }
}

fn names(stale: &[StaleFile]) -> Vec<&str> {
    let name = |file: &'_ StaleFile| file.path.file_name().unwrap().to_str().unwrap().len();
    stale
        .iter()
        .map(|file| {
            let path = file.path.to_str().unwrap();
            &path[path.len() - name(file)..]
        })
        .collect()
}

#[test]
fn the_files_of_a_section_change_together() {
    let mut rig = Rig::new();
    let old = rig.in_force.config.clone();
    rig.target.put(&Pair::new(VALID));
    assert_eq!(rig.rotate(), []);
    assert_eq!(
        rig.changes(&old),
        ["tls.ca-file", "tls.cert-file", "tls.key-file"]
    );
    let tls = |config: &Config| config.remote_write.targets[0].tls.clone().unwrap().tls;
    assert!(tls(&old) != tls(&rig.in_force.config));
}

#[test]
fn a_pair_that_does_not_fit_keeps_its_last_good_contents_and_stops_no_other_unit() {
    let mut rig = Rig::new();
    let old = rig.in_force.config.clone();
    let new = Pair::new(VALID);
    rig.listener.write("tls.crt", &new.cert);
    rig.target.put(&Pair::new(VALID));
    rig.place.write("token", "new");
    let stale = rig.rotate();
    assert_eq!(names(&stale), ["tls.crt"]);
    let text = &stale[0].text;
    assert!(
        text.contains("listen-tls.key-file: ")
            && text.contains("holds the key of another certificate"),
        "{text}"
    );
    assert!(
        text.contains("(all files of `listen-tls` keep their last good content)"),
        "{text}"
    );
    assert_eq!(
        rig.changes(&old),
        ["tls.ca-file", "tls.cert-file", "tls.key-file", "auth-token"]
    );
    rig.listener.write("tls.key", &new.key);
    assert_eq!(rig.rotate(), []);
    assert_eq!(rig.changes(&old).len(), 6);
}

#[test]
fn a_missing_file_keeps_the_other_files_of_its_section() {
    let mut rig = Rig::new();
    let old = rig.in_force.config.clone();
    rig.target.put(&Pair::new(VALID));
    rig.target.remove("ca.crt");
    rig.place.write("token", "new");
    let stale = rig.rotate();
    assert_eq!(names(&stale), ["ca.crt"]);
    assert!(
        stale[0]
            .text
            .contains("(all files of `remote-write.targets.a.tls` keep")
    );
    assert_eq!(rig.changes(&old), ["auth-token"]);
}

#[test]
fn a_broken_token_does_not_stop_a_certificate_nor_an_empty_file_a_token() {
    let mut rig = Rig::new();
    let old = rig.in_force.config.clone();
    rig.place.write("token", "has blanks\nand lines");
    rig.listener.put(&Pair::new(VALID));
    rig.target.write("tls.crt", "");
    let stale = rig.rotate();
    assert_eq!(names(&stale), ["token", "tls.crt"]);
    assert!(
        stale[1].text.contains("is empty; write the PEM file again"),
        "{stale:?}"
    );
    assert_eq!(
        rig.changes(&old),
        ["listen-tls.cert-file", "listen-tls.key-file"]
    );
}

#[test]
fn a_pair_that_is_half_written_at_the_first_look_is_not_taken() {
    let mut rig = Rig::new();
    let old = rig.in_force.config.clone();
    let new = Pair::new(VALID);
    rig.listener.write("tls.crt", &new.cert);
    let half = rig.in_force.files.reread().contents;
    rig.listener.write("tls.key", &new.key);
    assert_eq!(rig.rotate_from(&half), []);
    assert_eq!(rig.changes(&old), [""; 0]);
    assert_eq!(rig.rotate(), []);
    assert_eq!(rig.changes(&old).len(), 2);
}

#[test]
fn a_file_of_certificates_may_be_large_and_is_not_shown() {
    let rig = Rig::new();
    let mut large = Pair::new(VALID).authority;
    large.push_str(&"# padding of a bundle\n".repeat(10_000));
    rig.target.write("ca.crt", &large);
    assert!(rig.in_force.files.reread().stale.is_empty());
    rig.target.write("ca.crt", large.repeat(5));
    let stale = rig.in_force.files.reread().stale;
    assert!(
        stale[0].text.contains("has more than 1048576 bytes"),
        "{stale:?}"
    );
    let shown = format!("{:?} {:?}", rig.in_force, rig.place.loader);
    assert!(
        !shown.contains("PRIVATE") && !shown.contains("BEGIN"),
        "{shown}"
    );
}
