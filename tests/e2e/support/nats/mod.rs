//! A nats-server with JetStream as a child process, with a port and a store that outlive its restarts.

mod api;
mod cluster;
mod tests;

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) use self::{
    api::{Connection, Login},
    cluster::Cluster,
};
use super::{
    poll::{SOON, eventually, poll},
    ports::Refusing,
};

const NEEDED: &str = "this test needs nats-server 2.10 or newer: \
                      `go install github.com/nats-io/nats-server/v2@v2.15.3`, or name the program in PYROTEE_NATS_SERVER";

const OLD_NEEDED: &str = "this test needs the nats-server 2.9 of Debian 12 (`apt-get install nats-server`), or a \
                          program of that version in PYROTEE_NATS_SERVER_OLD";

/// An operator with an account `relays` that may use JetStream, and the credentials of its user `relay`. They were made
/// for the tests and expire never.
pub(crate) const OPERATOR: &str = include_str!("operator.conf");
pub(crate) const CREDENTIALS: &str = include_str!("relay.creds");

/// The seed of an nkey, and its public key.
pub(crate) const NKEY: [&str; 2] = [
    "SUAPT6KPBCT3BZ3KWVZAPBRZ5UHIQV6JTQBE4PZLWUHHYYBA2LLE5EQ53M",
    "UCKF7FUVS62ZPQ2AHOH3AAHB3PDSSZRST4X4TEY5P6FU25VLD34M6GK5",
];

/// A server that runs or is down. It is killed when dropped, and its log is printed if the test failed.
#[derive(Debug)]
pub(crate) struct Nats {
    program: PathBuf,
    /// Keeps the port for restarts: the kernel gives it to no parallel test.
    port: Refusing,
    login: Login,
    home: TempDir,
    child: Option<Child>,
}

impl Nats {
    /// A running server without authentication.
    pub(crate) fn start() -> Self {
        Self::with("", Login::Nobody)
    }

    /// A running server with these lines of configuration; `login` is for the requests of the test itself.
    pub(crate) fn with(config: &str, login: Login) -> Self {
        let mut server = Self::down(newest(), login);
        server.configure(config);
        server.restart();
        server
    }

    /// A server that does not run yet.
    pub(crate) fn not_yet() -> Self {
        Self::down(newest(), Login::Nobody)
    }

    /// A running server of Debian's version.
    pub(crate) fn old() -> Self {
        let mut server = Self::down(oldest(), Login::Nobody);
        server.restart();
        server
    }

    fn down(program: PathBuf, login: Login) -> Self {
        let server = Self {
            program,
            port: Refusing::new(),
            login,
            home: tempfile::tempdir().expect("a temporary directory can be made"),
            child: None,
        };
        server.configure("");
        server
    }

    /// Replaces the configuration file, which the server reads at its start and at [`reload`](Self::reload).
    pub(crate) fn configure(&self, config: &str) {
        fs::write(self.path("nats.conf"), config).expect("a file can be written");
    }

    /// Replaces the configuration file and the login of the test.
    pub(crate) fn admit(&mut self, config: &str, login: Login) {
        self.configure(config);
        self.login = login;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The address as a configuration has it.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.port)
    }

    /// The address with `localhost` for the host, of which certificates of the tests are.
    pub(crate) fn tls_url(&self) -> String {
        format!("tls://localhost:{}", self.port.address().port())
    }

    /// Starts the server, at the same port and with the same store as before, and waits until it is ready.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a file can be written");
        let child = Command::new(&self.program)
            .args(["-a", "127.0.0.1", "-p"])
            .arg(self.port.address().port().to_string())
            .arg("-c")
            .arg(self.path("nats.conf"))
            .arg("-js")
            .arg("-sd")
            .arg(self.path("store"))
            .arg("--ports_file_dir")
            .arg(self.home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; {NEEDED}", self.program.display()));
        // The server writes the file once it listens.
        let ports = self.path(&format!("nats-server_{}.ports", child.id()));
        self.child = Some(child);
        let is_ready = poll(SOON, || ports.exists().then_some(()));
        assert!(
            is_ready.is_some(),
            "nats-server does not start:\n{}",
            self.log()
        );
    }

    /// Kills the server. Its store stays.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it is a child of this test");
        child.wait().expect("it is a child of this test");
    }

    /// Stops the process, and waits until it is stopped: connections stay open, and nothing is read or sent.
    pub(crate) fn suspend(&self) {
        self.signal(Signal::STOP);
        let status = format!("/proc/{}/task", self.pid());
        // The threads stop one by one.
        eventually(SOON, "a stopped process", || {
            let tasks = fs::read_dir(&status).expect("it is a child of this test");
            tasks.flatten().all(|task| {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.contains(") T ")
            })
        });
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Has the server read its configuration again.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is a child of this test");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// A connection of the test itself.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.port.address(), &self.login)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Everything that the server wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        if thread::panicking() {
            eprintln!("--- the log of nats-server\n{}\n---", self.log());
        }
    }
}

/// The program of a present-day version.
fn newest() -> PathBuf {
    let named = env::var_os("PYROTEE_NATS_SERVER").map(PathBuf::from);
    let of_go = [("GOPATH", "bin"), ("HOME", "go/bin")]
        .into_iter()
        .filter_map(|(variable, below)| Some(PathBuf::from(env::var_os(variable)?).join(below)))
        .map(|directory| directory.join("nats-server"));
    let path = env::var_os("PATH").unwrap_or_default();
    let of_path = env::split_paths(&path).map(|directory| directory.join("nats-server"));
    let mut places = named.into_iter().chain(of_go).chain(of_path);
    places.find(|it| it.is_file()).expect(NEEDED)
}

/// The program of Debian 12.
fn oldest() -> PathBuf {
    let named = env::var_os("PYROTEE_NATS_SERVER_OLD").map(PathBuf::from);
    let program = named.unwrap_or_else(|| Path::new("/usr/sbin/nats-server").to_owned());
    assert!(program.is_file(), "{}: {OLD_NEEDED}", program.display());
    program
}
