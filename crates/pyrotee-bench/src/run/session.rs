//! Runs trials one after the other, and writes the file of results.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, bail};

use super::{
    About, Line, Outcome, Set, expect, figures, footprint,
    rig::Rig,
    sets::Plan,
    spool,
    trial::{Kind, Trial},
    watch,
};
use crate::machine::{Cores, describe};

/// The share of a core that other processes may use before a trial is repeated, and the most repetitions.
const NOISE: f64 = 0.10;
const TRIES: u32 = 3;

/// A run in progress.
#[derive(Debug)]
pub(super) struct Session {
    cores: Cores,
    path: PathBuf,
    file: File,
    /// Seconds that are left for repetitions in this set.
    patience: f64,
    done: usize,
    all: usize,
    broken: Vec<String>,
}

impl Session {
    /// Creates a file for the results, named after the time.
    pub(super) fn create(folder: &Path, cores: Cores) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.jsonl", now().replace(':', "")));
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            cores,
            path,
            file,
            patience: 0.0,
            done: 0,
            all: 0,
            broken: Vec::new(),
        })
    }

    /// Begins a set.
    #[expect(clippy::print_stdout, reason = "progress is for the user")]
    pub(super) fn begin(&mut self, set: Set, plan: &Plan, seed: u64) -> anyhow::Result<()> {
        (self.done, self.all) = (0, plan.count());
        self.patience = plan.patience * 60.0;
        println!(
            "{set}: {} trials in {} rounds, seed {seed}",
            self.all, plan.rounds
        );
        self.write(&Line::Run(About {
            set: set.to_string(),
            time: now(),
            seed,
            rounds: plan.rounds,
            machine: describe(),
        }))
    }

    /// Runs a trial, repeats it if other processes used the cores, and writes its outcome.
    #[expect(clippy::print_stdout, reason = "progress is for the user")]
    pub(super) fn measure(&mut self, trial: &Trial, round: u32) -> anyhow::Result<()> {
        let mut repeated = 0;
        self.done += 1;
        let outcome = loop {
            let begun = Instant::now();
            match measure(trial, round, repeated, self.cores) {
                Ok(outcome) if outcome.noisy && repeated + 1 < TRIES && self.patience > 0.0 => {
                    repeated += 1;
                    self.patience -= begun.elapsed().as_secs_f64();
                }
                Ok(outcome) => break outcome,
                Err(error) => {
                    // The run continues, because the other trials are still useful.
                    let error = format!("{} in {}: {error:#}", trial.candidate, trial.cell);
                    println!("{:>3}/{} {error}", self.done, self.all);
                    self.broken.push(error);
                    return Ok(());
                }
            }
        };
        println!("{:>3}/{} {}", self.done, self.all, told(&outcome));
        for fault in &outcome.faults {
            println!("        {fault}");
            if trial.candidate.is_ours() {
                self.broken
                    .push(format!("{} in {}: {fault}", trial.candidate, trial.cell));
            }
        }
        self.write(&Line::Cell(outcome))
    }

    /// Prints the path of the results.
    ///
    /// # Errors
    ///
    /// If a trial failed, or a candidate of this repository broke a condition.
    #[expect(clippy::print_stdout, reason = "progress is for the user")]
    pub(super) fn end(self) -> anyhow::Result<()> {
        println!("written: {}", self.path.display());
        if self.broken.is_empty() {
            return Ok(());
        }
        bail!("failed or faulty trials:\n{}", self.broken.join("\n"))
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        serde_json::to_writer(&self.file, line)?;
        Ok(self.file.write_all(b"\n")?)
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn measure(trial: &Trial, round: u32, repeated: u32, cores: Cores) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome {
        cell: trial.cell.clone(),
        candidate: trial.candidate.to_string(),
        round,
        repeated,
        noisy: false,
        foreign: [0.0; 2],
        figures: figures::Map::new(),
        faults: Vec::new(),
        windows: Vec::new(),
    };
    match &trial.kind {
        Kind::Idle => outcome.figures = footprint::idle(trial, cores)?,
        Kind::Start => outcome.figures = footprint::start(trial, cores)?,
        Kind::Spool(dir, bytes) => outcome.figures = spool::grow(trial, dir, *bytes, cores)?,
        kind => {
            let mut rig = Rig::start(trial, cores)?;
            let seen = watch::watch(trial, &mut rig)?;
            outcome.foreign = seen.foreign;
            outcome.noisy = seen.foreign.iter().any(|share| *share > NOISE);
            outcome.figures = figures::of(trial, &seen);
            outcome.faults = expect::faults(trial, &outcome.figures);
            if let Some(error) = &seen.load.first_error {
                outcome.faults.push(format!("the first error was: {error}"));
            }
            if matches!(kind, Kind::Timeline(_)) {
                outcome.windows = seen.load.windows;
            }
        }
    }
    Ok(outcome)
}

/// The line that is printed for an outcome.
fn told(outcome: &Outcome) -> String {
    let mut line = format!("{:22} {:13}", outcome.cell, outcome.candidate);
    for name in [
        "rate",
        "p50_ms",
        "p99_ms",
        "cpu_ms",
        "rss_mb",
        "delivered",
        "start_ms",
        "cpu_ms_growth",
        "tail_of_before",
        "slope_mb_per_minute",
        "binary_mb",
    ] {
        if let Some(value) = outcome.figures.get(name) {
            line += &format!(" {name} {value:.3}");
        }
    }
    if outcome.noisy {
        let [measured, measures] = outcome.foreign.map(|share| share * 100.0);
        line += &format!("  noisy: others took {measured:.0} % and {measures:.0} %");
    }
    line
}
