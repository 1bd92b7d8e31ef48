//! The processes of a trial: sinks, the candidate and the load.

use std::{
    env,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::{
    ledger::Ledger,
    trial::{Shape, Trial},
};
use crate::{
    candidate::{Running, Setup},
    child::{Child, SOON, Tells},
    load::{Figures, Measuring},
    machine::{Cores, Role},
    sink::{Counts, Mode, Ports},
    tls::{self, Encrypted},
};

/// Sinks and a candidate that is connected to them.
#[derive(Debug)]
pub(crate) struct Rig {
    // Dropped in this order, so that no process reports that its peer is gone.
    pub(crate) candidate: Running,
    pub(crate) sinks: Sinks,
    pub(crate) cores: Cores,
    home: TempDir,
}

/// The process with the upstream and all targets.
#[derive(Debug)]
pub(crate) struct Sinks {
    child: Child,
    ports: Vec<SocketAddr>,
    encrypted: Encrypted,
}

/// The running clients of a trial.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) child: Child,
}

impl Rig {
    pub(crate) fn start(trial: &Trial, cores: Cores) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("pyrotee-bench").tempdir()?;
        tls::write(home.path())?;
        let sinks = Sinks::start(trial, cores, home.path())?;
        let setup = sinks.setup(home.path(), cores);
        let candidate = trial.candidate.start(setup, &trial.relay)?;
        Ok(Self {
            candidate,
            sinks,
            cores,
            home,
        })
    }

    /// Ends the candidate and starts it anew; returns the instant of the start.
    pub(crate) fn start_again(&mut self, trial: &Trial) -> anyhow::Result<Instant> {
        self.candidate.end();
        let setup = self.sinks.setup(self.home.path(), self.cores);
        let begun = Instant::now();
        self.candidate = trial.candidate.start(setup, &trial.relay)?;
        Ok(begun)
    }

    /// Starts clients, whose requests count after the warm-up.
    pub(crate) fn load(
        &self,
        shape: Shape,
        warm_up: f64,
        seconds: f64,
        first: u64,
    ) -> anyhow::Result<Load> {
        let mut command = Command::new(env::current_exe()?);
        let mut flag = |name: &str, value: String| {
            command.args([name, &value]);
        };
        flag("load", format!("--to={}", self.candidate.address));
        flag("--size", shape.size.to_string());
        flag("--connections", shape.connections.to_string());
        flag("--warm-up", warm_up.to_string());
        flag("--seconds", seconds.to_string());
        flag("--first", first.to_string());
        flag("--style", shape.style.name().to_owned());
        if self.sinks.encrypted.clients {
            flag("--tls", self.home.path().display().to_string());
        }
        if let Some(rate) = shape.rate {
            flag("--rate", rate.to_string());
        }
        if let Some(count) = shape.count {
            flag("--count", count.to_string());
        }
        if shape.anew {
            command.arg("--anew");
        }
        let child = Child::start(
            "load",
            command,
            Tells::Stdout,
            Role::Measures,
            self.cores,
            self.home.path(),
        )?;
        Ok(Load { child })
    }

    /// The relay's ledgers, one for each target; empty for other candidates.
    pub(crate) fn ledgers(&self, targets: usize) -> anyhow::Result<Vec<Ledger>> {
        match self.candidate.admin {
            Some(admin) => Ledger::scrape(admin, targets),
            None => Ok(Vec::new()),
        }
    }
}

impl Load {
    /// Waits until the warm-up is over.
    pub(crate) fn begun(&self) -> anyhow::Result<()> {
        // A load with ten thousand connections needs longer to start.
        let line: Measuring = self.child.tell(3 * SOON)?;
        line.measuring
            .then_some(())
            .context("the load began with something else")
    }

    /// The figures; `None` if the load does not end within `limit`.
    pub(crate) fn ended(&self, limit: Duration) -> anyhow::Result<Option<Figures>> {
        let line = self.child.line(limit)?;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }
}

impl Sinks {
    fn start(trial: &Trial, cores: Cores, home: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let modes = trial.modes();
        command.arg("sink").args(modes.iter().map(Mode::to_string));
        let encrypted = trial.encrypted;
        if encrypted.servers {
            // Beside targets the upstream has no TLS.
            let plain = usize::from(modes.len() > 1);
            command.args(["--plain", &plain.to_string()]);
            command.arg("--tls").arg(home);
        }
        let child = Child::start("sinks", command, Tells::Stdout, Role::Measures, cores, home)?;
        let line: Ports = child.tell(SOON)?;
        Ok(Self {
            child,
            ports: line.ports,
            encrypted,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The setup of a candidate in front of these sinks.
    fn setup<'a>(&'a self, home: &'a Path, cores: Cores) -> Setup<'a> {
        Setup {
            home,
            cores,
            upstream: self.ports[0],
            targets: &self.ports[1..],
            encrypted: self.encrypted,
        }
    }

    /// The counts of the upstream, and of each target.
    pub(crate) fn counts(&mut self) -> anyhow::Result<(Counts, Vec<Counts>)> {
        self.child.say("counts")?;
        let mut all: Vec<Counts> = self.child.tell(SOON)?;
        let targets = all.split_off(1);
        Ok((all.pop().context("there is an upstream")?, targets))
    }

    /// Changes the mode of the last target.
    pub(crate) fn turn_last(&mut self, mode: Mode) -> anyhow::Result<()> {
        self.child
            .say(&format!("mode {} {mode}", self.ports.len() - 1))?;
        self.child.tell::<serde_json::Value>(SOON).map(drop)
    }
}
