//! The candidates that are compared: the relay, proxies with a part of its features, and a direct connection.

mod bare;
mod envoy;
mod haproxy;
mod nginx;
mod relay;
mod tools;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    str::FromStr,
};

pub(crate) use relay::Settings as RelaySettings;
pub(crate) use tools::{missing, relay as relay_path};

use anyhow::ensure;

use crate::{
    child::{Child, Tells},
    machine::{Cores, Role},
    tls::Encrypted,
};

/// A candidate between the load and the sinks, with the number of copies of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Candidate {
    /// No candidate: measures load, sinks and kernel alone.
    Direct,
    Bare(usize),
    Relay(usize),
    /// nginx, which streams the request body and cannot mirror.
    NginxStream,
    /// nginx, which buffers the body in memory first, because its mirror module needs the whole body.
    Nginx(usize),
    Haproxy,
    Envoy(usize),
}

/// What a candidate needs to start: its directory, its cores, the addresses of the sinks, and what is encrypted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    /// A directory for this trial alone, with certificates.
    pub(crate) home: &'a Path,
    pub(crate) cores: Cores,
    pub(crate) upstream: SocketAddr,
    pub(crate) targets: &'a [SocketAddr],
    pub(crate) encrypted: Encrypted,
}

/// A candidate that accepts connections.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The admin listener of the relay; `None` for other candidates.
    pub(crate) admin: Option<SocketAddr>,
    child: Option<Child>,
}

impl Candidate {
    /// The number of copies of each request.
    pub(crate) fn targets(self) -> usize {
        match self {
            Self::Direct | Self::NginxStream | Self::Haproxy => 0,
            Self::Bare(targets)
            | Self::Relay(targets)
            | Self::Nginx(targets)
            | Self::Envoy(targets) => targets,
        }
    }

    /// Whether the candidate is part of this repository, so that a fault of its trials fails the run.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Direct | Self::Bare(_) | Self::Relay(_))
    }

    /// Starts the candidate and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// If the candidate is not installed, is not made for the trial's TLS, or does not start.
    pub(crate) fn start(
        self,
        setup: Setup<'_>,
        settings: &RelaySettings,
    ) -> anyhow::Result<Running> {
        let speaks_tls = matches!(self, Self::Relay(_) | Self::NginxStream | Self::Nginx(_));
        ensure!(
            speaks_tls || setup.encrypted == Encrypted::default(),
            "{self} is not configured for TLS"
        );
        match self {
            Self::Direct => Ok(Running::new(setup.upstream, None)),
            Self::Bare(_) => bare::start(setup),
            Self::Relay(_) => relay::start(setup, settings),
            Self::NginxStream => nginx::start(setup, nginx::Bodies::Streamed),
            Self::Nginx(_) => nginx::start(setup, nginx::Bodies::InMemory),
            Self::Haproxy => haproxy::start(setup),
            Self::Envoy(_) => envoy::start(setup),
        }
    }
}

impl Setup<'_> {
    /// The scheme of the upstream's address, and that of the addresses of targets.
    fn schemes(self) -> [&'static str; 2] {
        let scheme = |encrypted| if encrypted { "https" } else { "http" };
        let servers = self.encrypted.servers;
        [servers && self.targets.is_empty(), servers].map(scheme)
    }

    /// The path of a file in the candidate's directory.
    fn file(self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    /// Starts a measured process on the measured core.
    fn run(self, name: &'static str, command: Command, tells: Tells) -> anyhow::Result<Child> {
        Child::start(name, command, tells, Role::Measured, self.cores, self.home)
    }
}

impl Running {
    fn new(address: SocketAddr, child: Option<Child>) -> Self {
        Self {
            address,
            admin: None,
            child,
        }
    }

    /// Runs `command` and waits until its process listens at `address`.
    fn at(
        address: SocketAddr,
        name: &'static str,
        command: Command,
        setup: Setup<'_>,
    ) -> anyhow::Result<Self> {
        let mut child = setup.run(name, command, Tells::Stderr)?;
        child.wait_for(address)?;
        Ok(Self::new(address, Some(child)))
    }

    /// Ends the candidate's process.
    pub(crate) fn end(&mut self) {
        self.child = None;
    }

    /// The process id; `None` for a direct connection.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Bare(targets) => write!(f, "bare-{targets}"),
            Self::Relay(targets) => write!(f, "relay-{targets}"),
            Self::NginxStream => f.write_str("nginx-stream"),
            Self::Nginx(targets) => write!(f, "nginx-{targets}"),
            Self::Haproxy => f.write_str("haproxy-0"),
            Self::Envoy(targets) => write!(f, "envoy-{targets}"),
        }
    }
}

impl FromStr for Candidate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, targets) = text.split_once('-').unwrap_or((text, ""));
        let number = || {
            targets
                .parse()
                .map_err(|_| format!("{text}: how many targets?"))
        };
        Ok(match (name, targets) {
            ("direct", "") => Self::Direct,
            ("nginx", "stream") => Self::NginxStream,
            ("haproxy", "0") => Self::Haproxy,
            ("bare", _) => Self::Bare(number()?),
            ("relay", _) => Self::Relay(number()?),
            ("nginx", _) => Self::Nginx(number()?),
            ("envoy", _) => Self::Envoy(number()?),
            _ => return Err(format!("no such candidate: {text}")),
        })
    }
}

/// An address with a port that is free now, for candidates that cannot report a port chosen by the kernel.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_read_as_it_is_written() {
        for text in [
            "direct",
            "bare-0",
            "relay-3",
            "nginx-stream",
            "nginx-1",
            "haproxy-0",
            "envoy-3",
        ] {
            assert_eq!(text.parse::<Candidate>().unwrap().to_string(), text);
        }
        assert!("haproxy-3".parse::<Candidate>().is_err());
    }
}
