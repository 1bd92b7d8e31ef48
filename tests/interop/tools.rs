//! The tools of a language: installing its SDK, and running its programs.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::poll;

/// Longest time of an installation, with downloading and compiling, on a busy machine.
const INSTALL: Duration = Duration::from_secs(900);

/// The directory of one SDK below the target directory.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The name of the directory.
    name: &'static str,
    /// The tools that must be installed, and how to install them.
    needs: &'static str,
    started: Instant,
}

impl Tools {
    pub(crate) fn new(name: &'static str, needs: &'static str) -> Self {
        let started = Instant::now();
        let tools = Self {
            name,
            needs,
            started,
        };
        fs::create_dir_all(tools.home()).expect("the target directory can be written");
        tools
    }

    /// The folder for all files that are made for this SDK.
    pub(crate) fn home(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("interop")
            .join(self.name)
    }

    /// Runs a step of the installation, which has to succeed.
    pub(crate) fn install(&self, command: &mut Command) {
        self.run(command, INSTALL);
    }

    /// Runs the steps of an installation unless they were run for the same `manifest` before.
    pub(crate) fn install_once(&self, manifest: &Path, steps: impl FnOnce()) {
        let stamp = self.home().join("installed");
        let wanted = fs::read(manifest).expect("the manifest is part of the repository");
        if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
            return;
        }
        steps();
        fs::write(stamp, wanted).expect("the target directory can be written");
    }

    /// Prints the time since the last call, whether the test passes or not.
    pub(crate) fn took(&mut self, what: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.started = Instant::now();
        // Written to stderr directly, because the output of the macros is captured.
        let line = format!("interop: {}: {what} took {seconds:.1} s\n", self.name);
        drop(io::stderr().write_all(line.as_bytes()));
    }

    /// Runs a command to its end; it has to succeed within `limit`.
    pub(crate) fn run(&self, command: &mut Command, limit: Duration) {
        if let Err(output) = run(command, limit) {
            panic!("{command:?} failed. It needs {}.\n{output}", self.needs);
        }
    }
}

/// A file in the folder of the committed programs.
pub(crate) fn program(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/interop/programs")
        .join(path)
}

/// A command with its arguments.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a command to its end. The error is its output, if it did not succeed in time.
fn run(command: &mut Command, limit: Duration) -> Result<(), String> {
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = home.path().join("output");
    let output = File::create(&path).map_err(|error| error.to_string())?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| error.to_string())?;
    let ended = poll(limit, || child.try_wait().expect("the child is ours"));
    if ended.is_none() {
        drop(child.kill());
        drop(child.wait());
    }
    if ended.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let ending = ended.map_or_else(|| format!("killed after {limit:?}"), |end| end.to_string());
    Err(format!("{ending}\n{written}"))
}
