//! What the backend is told.

use std::path::PathBuf;
use std::time::Duration;

use pyrotee_net::Resolver;
use pyrotee_queue::Supervisor;
use pyrotee_tls::ClientTls;
use secrecy::SecretString;

/// What the backend is told. [`Settings::new`] fills in the defaults of the configuration; the fields may be changed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The servers of one cluster.
    pub servers: Vec<Server>,
    /// How the relay logs in.
    pub auth: Auth,
    /// TLS of the servers whose `tls` is set. `None`: no server has TLS.
    pub tls: Option<ClientTls>,
    /// Start of the names of streams and subjects. Letters, digits, `_` and `-`.
    pub prefix: String,
    /// Time for which a record waits in memory before it is handed over.
    pub after: Duration,
    /// Who creates streams and consumers.
    pub policy: Policy,
    /// Copies of each stream in the cluster.
    pub replicas: usize,
    /// Resolves the names of the servers.
    pub resolver: Resolver,
    /// Counts and logs panics.
    pub supervisor: Supervisor,
    /// Number and name of each surface that this relay knows.
    pub surfaces: Vec<(u8, &'static str)>,
    /// Names this process among the relays: 16 hexadecimal digits.
    pub boot: String,
    /// The times of the connection and of the fleet.
    pub timing: Timing,
}

/// A NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A name or an IP address, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
}

/// How the relay logs in to NATS.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Without credentials.
    None,
    /// With a token.
    Token(SecretString),
    /// With a user and a password.
    User {
        /// The name of the user.
        user: String,
        /// The password of the user.
        password: SecretString,
    },
    /// With the JWT and the seed in a file, which is read for each new connection.
    CredsFile(PathBuf),
    /// With the seed of an nkey in a file, which is read for each new connection.
    NkeyFile(PathBuf),
}

/// Who creates streams and consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The relay creates what is missing, and alters nothing.
    Manage,
    /// An administrator. The relay only uses what is there.
    Bind,
}

/// The times of the connection and of the fleet. Tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two signs of life of a relay.
    pub heartbeat: Duration,
    /// Shortest time after which the broker gives an unsettled record to another relay.
    pub ack_wait: Duration,
    /// Between two looks at the numbers of a stream.
    pub look: Duration,
    /// Between two pings to the server. A server that leaves three unanswered is disconnected.
    pub ping: Duration,
    /// Longest time to resolve a name, and to connect to one address.
    pub connect: Duration,
    /// Shortest and longest time before the servers are tried again.
    pub back_off: (Duration, Duration),
    /// Time without an acknowledgement of what is published after which a connection is replaced.
    pub stalled: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(5),
            ack_wait: Duration::from_secs(30),
            look: Duration::from_secs(10),
            ping: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            back_off: (Duration::from_millis(100), Duration::from_secs(5)),
            stalled: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Settings with the defaults of the configuration: no login, no TLS, 10 s in memory, streams of three copies that the
    /// relay creates.
    pub fn new(
        servers: Vec<Server>,
        prefix: impl Into<String>,
        resolver: Resolver,
        supervisor: Supervisor,
    ) -> Self {
        Self {
            servers,
            auth: Auth::None,
            tls: None,
            prefix: prefix.into(),
            after: Duration::from_secs(10),
            policy: Policy::Manage,
            replicas: 3,
            resolver,
            supervisor,
            surfaces: Vec::new(),
            boot: format!("{:016x}", fastrand::u64(..)),
            timing: Timing::default(),
        }
    }

    /// The same with `server` only.
    pub(crate) fn for_server(&self, server: &Server) -> Self {
        Self {
            servers: vec![server.clone()],
            ..self.clone()
        }
    }

    /// Time after which the broker gives an unsettled record to another relay, if a delivery may take `timeout`.
    pub(crate) fn ack_wait(&self, timeout: Duration) -> Duration {
        self.timing.ack_wait.max(timeout.saturating_mul(2))
    }
}

impl Server {
    /// Host and port, as an operator knows the server.
    pub(crate) fn name(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}
