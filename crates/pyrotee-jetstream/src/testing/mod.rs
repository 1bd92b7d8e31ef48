//! Starts nats-servers with JetStream for tests, and the settings of a relay on them.

#![expect(clippy::unwrap_used, reason = "a panic is a failing test")]

mod port;
mod program;
mod record;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pyrotee_net::Resolver;
use pyrotee_queue::Supervisor;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::port::Port;
pub use self::record::check_record;
use crate::settings::{Server, Settings, Timing};

/// An operator with an account `relays` that may use JetStream, for [`Nats::with`], and the credentials of a user of this
/// account. They were made for tests and expire never.
pub const OPERATOR: &str = include_str!("operator.conf");

/// The credentials of a user of [`OPERATOR`].
pub const CREDENTIALS: &str = include_str!("relay.creds");

/// The seed of an nkey, and its public key.
pub const NKEY: [&str; 2] = [
    "SUAPT6KPBCT3BZ3KWVZAPBRZ5UHIQV6JTQBE4PZLWUHHYYBA2LLE5EQ53M",
    "UCKF7FUVS62ZPQ2AHOH3AAHB3PDSSZRST4X4TEY5P6FU25VLD34M6GK5",
];

/// Longest time for a server to start.
const TO_START: Duration = Duration::from_secs(20);

/// A server that runs or is down, with a port and a store that outlive restarts. It is killed when dropped, and its log is
/// printed if the test failed.
#[derive(Debug)]
pub struct Nats {
    program: PathBuf,
    port: Port,
    home: TempDir,
    child: Option<Child>,
}

impl Nats {
    /// A running server without authentication.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// A running server with these lines of configuration.
    pub async fn with(config: &str) -> Self {
        let mut server = Self::never();
        server.configure(config);
        server.restart().await;
        server
    }

    /// A running server of Debian 12's version, 2.9.
    pub async fn old() -> Self {
        let mut server = Self::never();
        server.program = program::old();
        server.restart().await;
        server
    }

    /// A server that does not run yet.
    pub fn never() -> Self {
        let server = Self {
            program: program::newest(),
            port: Port::reserve(),
            home: tempfile::tempdir().unwrap(),
            child: None,
        };
        server.configure("");
        server
    }

    /// Replaces the configuration, which the server reads at its start.
    pub fn configure(&self, config: &str) {
        fs::write(self.path("nats.conf"), config).unwrap();
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The server as settings have it, without TLS.
    pub fn server(&self) -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port: self.port(),
            tls: false,
        }
    }

    /// Settings of a relay on this server: one copy of each stream, and short times. Each call is another relay.
    pub fn settings(&self, prefix: &str) -> Settings {
        settings(vec![self.server()], prefix)
    }

    /// Starts the server, at the same port and with the same store as before, and waits until it listens.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = Command::new(&self.program)
            .args(["-a", "127.0.0.1", "-p"])
            .arg(self.port().to_string())
            .arg("-c")
            .arg(self.path("nats.conf"))
            .arg("-js")
            .arg("-sd")
            .arg(self.path("store"))
            .arg("--ports_file_dir")
            .arg(self.home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        // The server writes the file once it listens.
        let ports = self.path(&format!("nats-server_{}.ports", child.id()));
        self.child = Some(child);
        let began = Instant::now();
        while !ports.exists() {
            let is_late = began.elapsed() > TO_START;
            assert!(!is_late, "nats-server does not start:\n{}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills the server. Its store stays.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops the process: connections stay open, and nothing is read or sent.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Continues a stopped process.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Has the server tell its clients that it shuts down, and take no more connections.
    pub fn retire(&self) {
        self.signal(Signal::USR2);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// A file in a directory of the server's own, for example for certificates that its configuration names.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file in this directory. Returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Everything that the server wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            let log = self.log();
            #[expect(clippy::print_stderr, reason = "it is shown with the failed test")]
            {
                eprintln!("--- the log of nats-server\n{log}\n---");
            }
        }
    }
}

/// Settings of a relay on these servers: one copy of each stream, and short times. Each call is another relay.
pub fn settings(servers: Vec<Server>, prefix: &str) -> Settings {
    let mut settings = Settings::new(
        servers,
        prefix,
        Resolver::system().unwrap(),
        Supervisor::default(),
    );
    settings.replicas = 1;
    settings.timing = Timing {
        heartbeat: Duration::from_millis(200),
        ack_wait: Duration::from_secs(2),
        look: Duration::from_millis(200),
        ping: Duration::from_millis(300),
        connect: Duration::from_secs(1),
        back_off: (Duration::from_millis(20), Duration::from_millis(200)),
        stalled: Duration::from_secs(2),
    };
    settings
}
