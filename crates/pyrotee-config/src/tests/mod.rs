//! Tests that load sources into settings or faults.

mod admin;
mod admin_hosts;
mod dead_letters;
mod difference;
mod documentation;
mod environment;
mod faults;
mod file;
mod layers;
mod loader;
mod outcomes;
mod pem;
mod rotation;
mod scrape;
mod secrets;
mod seeds;
mod shared;
mod spool;
mod surfaces;
mod targets;
mod tls;
mod tls_rotation;
mod warnings;

use std::fs;

use tempfile::TempDir;

use super::{Config, Faults, Flags, Sources, load};

/// The sources of a test; nothing comes from the process.
#[derive(Default)]
struct Case {
    yaml: String,
    env: Vec<(String, String)>,
    flags: Flags,
}

fn yaml(text: &str) -> Case {
    Case {
        yaml: text.to_owned(),
        ..Case::default()
    }
}

/// A file with remote write on and one target of the given lines, indented by six.
fn target(lines: &str) -> Case {
    yaml(&format!(
        "remote-write:\n  enabled: true\n  targets:\n    bar:\n      address: http://bar:4040\n{lines}"
    ))
}

impl Case {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(self) -> Result<Config, Faults> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("pyrotee.yaml");
        fs::write(&path, self.yaml).unwrap();
        let result = load(Sources {
            file: Some(path),
            env: self.env,
            flags: self.flags,
            cpus: 2,
        });
        drop(dir);
        result
    }

    #[track_caller]
    fn config(self) -> Config {
        self.load().unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// The text of the faults, without the directory of the file.
    #[track_caller]
    fn faults(self) -> String {
        let shown = self.load().unwrap_err().to_string();
        let dir = shown
            .lines()
            .find_map(|line| line.split_once("pyrotee.yaml").map(|(dir, _)| dir));
        match dir {
            Some(dir) => shown.replace(dir, ""),
            None => shown,
        }
    }

    /// Asserts that there is one fault, with this text.
    #[track_caller]
    fn fault_is(self, fault: &str) {
        assert_eq!(
            self.faults(),
            format!("{fault}\n1 fault in the configuration")
        );
    }
}
