//! A nats-server with JetStream, for one test.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const REMEDY: &str = "install it with `go install github.com/nats-io/nats-server/v2@v2.15.3`, or name its file in \
                      PYROTEE_NATS_SERVER";

const REMEDY_OLD: &str =
    "install Debian's package nats-server, or name the file of a 2.9 in PYROTEE_NATS_SERVER_OLD";

/// A server on a free port of this host, which keeps its port when it starts again.
#[derive(Debug)]
pub(super) struct Nats {
    program: PathBuf,
    port: u16,
    /// Its store, and the file that names its port.
    dir: TempDir,
    process: Option<Child>,
}

impl Nats {
    pub(super) async fn start() -> Self {
        let program = program().unwrap_or_else(|| panic!("there is no nats-server: {REMEDY}"));
        Self::start_as(program).await
    }

    /// A server of version 2.9.
    pub(super) async fn start_old() -> Self {
        let program = env::var_os("PYROTEE_NATS_SERVER_OLD").map(PathBuf::from);
        let program = program.unwrap_or_else(|| "/usr/sbin/nats-server".into());
        let program = [program, "/usr/bin/nats-server".into()];
        let program = program.into_iter().find(|it| it.exists());
        let program = program.unwrap_or_else(|| panic!("no old nats-server: {REMEDY_OLD}"));
        Self::start_as(program).await
    }

    /// A port on which no server listens.
    pub(super) fn never() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::at(PathBuf::new(), port)
    }

    async fn start_as(program: PathBuf) -> Self {
        let mut nats = Self::at(program, 0);
        nats.restart().await;
        nats
    }

    fn at(program: PathBuf, port: u16) -> Self {
        Self {
            program,
            port,
            dir: tempfile::tempdir().unwrap(),
            process: None,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server as SIGSTOP does: it keeps its connections and says nothing.
    pub(super) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(super) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it runs");
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts the server with what it has stored.
    pub(super) async fn restart(&mut self) {
        let dir = self.dir.path();
        let port = match self.port {
            0 => "-1".to_owned(),
            port => port.to_string(),
        };
        let mut server = Command::new(&self.program);
        server.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"]);
        server.arg(dir).arg("--ports_file_dir").arg(dir);
        let process = server.stderr(Stdio::null()).spawn().unwrap();
        let ports = dir.join(format!("nats-server_{}.ports", process.id()));
        self.process = Some(process);
        let started = tokio::time::timeout(Duration::from_secs(20), port_in(&ports)).await;
        self.port = started.expect("it starts");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = env::var_os("PYROTEE_NATS_SERVER") {
        return Some(named.into());
    }
    let go = |path: PathBuf| path.join("bin/nats-server");
    let gopath = env::var_os("GOPATH").map(|path| go(path.into()));
    let home = env::var_os("HOME").map(|path| go(Path::new(&path).join("go")));
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path).map(|dir| dir.join("nats-server"));
    let mut candidates = gopath.into_iter().chain(home).chain(path);
    candidates.find(|it| it.exists())
}

/// Waits for the file that names the port of the server.
async fn port_in(file: &Path) -> u16 {
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let after = text.split_once("127.0.0.1:").map(|(_, after)| after);
        let port = after.and_then(|after| after.split(|c: char| !c.is_ascii_digit()).next());
        if let Some(port) = port.and_then(|port| port.parse().ok()) {
            return port;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
