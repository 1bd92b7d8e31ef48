//! Commands of the binary, each in a directory of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{SOON, poll};

/// A command with a directory of its own; ended when dropped.
pub(crate) struct Run {
    child: Child,
    home: TempDir,
}

/// What a command came to.
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

    /// The address behind `marker` in what the command wrote to `name`.
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

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
