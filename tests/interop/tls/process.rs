//! Processes of other makes, from their start to their end.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    support::{SOON, poll},
    tools::{Tools, command, program},
};

const NEEDS: &str = "go (1.21 or later, which fetches the newer one that the module asks for: \
    https://go.dev/dl, or Debian 13: apt-get install golang)";

/// The tools of these tests beside Go, and their packages in Debian.
const PACKAGES: &str = "openssl, curl, nginx (Debian: apt-get install openssl curl nginx-light) and prometheus \
    (Debian: apt-get install prometheus)";

/// A running process. It is asked to end when dropped, and its output is printed if the test failed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    name: String,
    output: TempDir,
}

impl Process {
    /// Starts a process; its output goes to files, apart from the streams that the caller keeps.
    pub(super) fn start(command: &mut Command) -> Self {
        let output = tempfile::tempdir().expect("a temporary directory can be made");
        let file = |name| File::create(output.path().join(name)).expect("a file can be made");
        if command.get_program() != "openssl" {
            command.stdin(Stdio::null()).stdout(file("stdout"));
        }
        let name = command.get_program().display().to_string();
        let child = command.stderr(file("stderr")).spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{name}: {error}; install {PACKAGES}")),
            name,
            output,
        }
    }

    /// Waits until connections to these addresses are accepted.
    pub(super) fn wait_for(&mut self, addresses: &[SocketAddr]) {
        for address in addresses {
            let open = poll(SOON, || {
                let ended = self.child.try_wait().expect("the child is ours");
                assert!(ended.is_none(), "{} ended\n{}", self.name, self.text());
                TcpStream::connect(address).ok()
            });
            assert!(open.is_some(), "{} is not at {address}", self.name);
        }
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process runs");
    }

    /// Everything that the process has written to the files.
    pub(super) fn text(&self) -> String {
        let read = |name| fs::read(self.output.path().join(name)).unwrap_or_default();
        let all = [read("stdout"), read("stderr")].concat();
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut ended = self.child.try_wait().is_ok_and(|status| status.is_some());
        if !ended {
            // A killed master of nginx would leave its workers behind.
            let _gone = kill_process(Pid::from_child(&self.child), Signal::TERM);
            ended = poll(SOON, || self.child.try_wait().ok()?).is_some();
        }
        if !ended {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if thread::panicking() {
            eprintln!("--- {}\n{}\n---", self.name, self.text());
        }
    }
}

/// The output of a command that ends by itself: what it wrote, and whether it succeeded.
pub(super) fn run(command: &mut Command) -> (String, bool) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; install {PACKAGES}"));
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&all).into_owned();
    (text, output.status.success())
}

/// The Go program, built once for all tests. Go itself does nothing if the program is built already.
pub(super) fn go(arguments: &[&str]) -> Command {
    static BUILT: std::sync::Once = std::sync::Once::new();
    let tools = Tools::new("tls", NEEDS);
    let binary = tools.home().join("tls");
    BUILT.call_once(|| {
        let mut build = command("go", &["build", "-mod=readonly", "-o"]);
        build.arg(&binary).arg(".").current_dir(program("tls"));
        tools.install(&mut build);
    });
    command(binary, arguments)
}
