//! Everything that runs during a trial: sinks, the candidate, the load.

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
};

/// Sinks and a candidate that is connected to them.
#[derive(Debug)]
pub(crate) struct Rig {
    // In this order they end: nobody reports that its peer is gone.
    pub(crate) candidate: Running,
    pub(crate) sinks: Sinks,
    pub(crate) cores: Cores,
    home: TempDir,
}

/// The upstream, and all targets, in a process.
#[derive(Debug)]
pub(crate) struct Sinks {
    child: Child,
    ports: Vec<SocketAddr>,
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) child: Child,
}

impl Rig {
    pub(crate) fn start(trial: &Trial, cores: Cores) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("pyrotee-bench").tempdir()?;
        let sinks = Sinks::start(&trial.modes(), cores, home.path())?;
        let setup = sinks.setup(home.path(), cores);
        let candidate = trial.candidate.start(setup, &trial.relay)?;
        Ok(Self {
            candidate,
            sinks,
            cores,
            home,
        })
    }

    /// Ends the candidate and starts it anew; when it was started.
    pub(crate) fn start_again(&mut self, trial: &Trial) -> anyhow::Result<Instant> {
        self.candidate.end();
        let setup = self.sinks.setup(self.home.path(), self.cores);
        let begun = Instant::now();
        self.candidate = trial.candidate.start(setup, &trial.relay)?;
        Ok(begun)
    }

    /// Starts clients; they count when the warm-up is over.
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
        if let Some(rate) = shape.rate {
            flag("--rate", rate.to_string());
        }
        if let Some(count) = shape.count {
            flag("--count", count.to_string());
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

    /// The relay's accounts, one for each target; none of others.
    pub(crate) fn ledgers(&self, targets: usize) -> anyhow::Result<Vec<Ledger>> {
        match self.candidate.admin {
            Some(admin) => Ledger::scrape(admin, targets),
            None => Ok(Vec::new()),
        }
    }
}

impl Load {
    /// Waits until it counts.
    pub(crate) fn begun(&self) -> anyhow::Result<()> {
        // Ten thousand connections take a while.
        let line: Measuring = self.child.tell(3 * SOON)?;
        line.measuring
            .then_some(())
            .context("the load began with something else")
    }

    /// The figures, if it ends within `limit`.
    pub(crate) fn ended(&self, limit: Duration) -> anyhow::Result<Option<Figures>> {
        let line = self.child.line(limit)?;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }
}

impl Sinks {
    fn start(modes: &[Mode], cores: Cores, home: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("sink").args(modes.iter().map(Mode::to_string));
        let child = Child::start("sinks", command, Tells::Stdout, Role::Measures, cores, home)?;
        let line: Ports = child.tell(SOON)?;
        Ok(Self {
            child,
            ports: line.ports,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// What a candidate needs to start in front of these sinks.
    fn setup<'a>(&'a self, home: &'a Path, cores: Cores) -> Setup<'a> {
        Setup {
            home,
            cores,
            upstream: self.ports[0],
            targets: &self.ports[1..],
        }
    }

    /// What came to the upstream, and to the targets.
    pub(crate) fn counts(&mut self) -> anyhow::Result<(Counts, Vec<Counts>)> {
        self.child.say("counts")?;
        let mut all: Vec<Counts> = self.child.tell(SOON)?;
        let targets = all.split_off(1);
        Ok((all.pop().context("there is an upstream")?, targets))
    }

    /// Lets the last target behave differently from now on.
    pub(crate) fn turn_last(&mut self, mode: Mode) -> anyhow::Result<()> {
        self.child
            .say(&format!("mode {} {mode}", self.ports.len() - 1))?;
        self.child.tell::<serde_json::Value>(SOON).map(drop)
    }
}
