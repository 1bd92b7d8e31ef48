//! Commands of the binary, each in a directory of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{SOON, poll};

/// A running command with a directory of its own; killed when dropped.
pub(crate) struct Run {
    child: Child,
    home: TempDir,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Starts `pyrotee` in a directory that has `file` as `pyrotee.yaml`.
pub(crate) fn start(file: &str, args: &[&str], environment: &[(&str, &str)]) -> Run {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(home.path().join("pyrotee.yaml"), file).expect("it can be written to");
    let create = |name: &str| File::create(home.path().join(name)).expect("it can be written to");
    let child = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
        .args(args)
        .envs(environment.iter().copied())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(create("stdout"))
        .stderr(create("stderr"))
        .spawn()
        .expect("the binary was built with this test");
    Run { child, home }
}

/// Runs a command that ends by itself.
pub(crate) fn run(file: &str, args: &[&str], environment: &[(&str, &str)]) -> Done {
    start(file, args, environment).done()
}

/// Runs `pyrotee` with these arguments, without a configuration.
pub(crate) fn pyrotee(args: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
        .args(args)
        .env_remove("PYROTEE_CONFIG")
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built with this test");
    let text = |bytes| String::from_utf8(bytes).expect("a command writes UTF-8");
    Done {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

impl Run {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a command writes UTF-8")
    }

    fn done(mut self) -> Done {
        let ended = poll(SOON, || self.child.try_wait().expect("the child is ours"));
        let (out, err) = (self.read("stdout"), self.read("stderr"));
        let Some(status) = ended else {
            panic!("it still runs\n{out}\n{err}")
        };
        Done {
            code: status.code(),
            out,
            err,
        }
    }

    /// The address that follows `marker` in the output `name`.
    pub(crate) fn address(&self, name: &str, marker: &str) -> SocketAddr {
        let found = poll(SOON, || {
            let text = self.read(name);
            let rest = text.lines().find_map(|line| line.split_once(marker))?.1;
            let end = rest.find(|c: char| c == '"' || c.is_whitespace());
            rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
        });
        found.unwrap_or_else(|| panic!("no {marker:?} in {}", self.read(name)))
    }
}

impl Done {
    /// The output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }

    /// The exit code and both outputs, for the text of a failure.
    pub(crate) fn all(&self) -> String {
        format!("{:?}\n{}\n{}", self.code, self.out, self.err)
    }

    /// Asserts the exit code, and that these words are in the outputs.
    pub(crate) fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        for word in words {
            assert!(self.all().contains(word), "{word}: {}", self.all());
        }
        self
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
