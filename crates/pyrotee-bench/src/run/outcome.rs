//! The file of results: one line of JSON for each run and outcome.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{load::Window, machine::Machine};

/// A line of a file of results.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Line {
    Run(About),
    Cell(Outcome),
}

/// Set, seed and machine of the results that follow.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct About {
    pub(crate) set: String,
    pub(crate) time: String,
    pub(crate) seed: u64,
    pub(crate) rounds: u32,
    pub(crate) machine: Machine,
}

/// The result of one trial: one candidate in one cell in one round.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) cell: String,
    pub(crate) candidate: String,
    pub(crate) round: u32,
    /// Earlier tries of this trial, repeated because other processes used the bench's cores.
    pub(crate) repeated: u32,
    /// Whether other processes used the bench's cores in this try too.
    pub(crate) noisy: bool,
    /// The shares of the measured core and of the measuring core that other processes used.
    pub(crate) foreign: [f64; 2],
    pub(crate) figures: BTreeMap<String, f64>,
    /// The conditions of `expect` that the trial broke.
    pub(crate) faults: Vec<String>,
    /// Latency over time; empty where no picture shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) windows: Vec<Window>,
}

/// The results of one or more runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    pub(crate) runs: Vec<About>,
    /// Outcomes with the index of their run. Rounds of different runs are never compared.
    pub(crate) cells: Vec<(usize, Outcome)>,
}

impl Results {
    /// Reads files of results; without a path, the newest file in `target/bench`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or is not a file of results.
    pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut results = Self::default();
        let newest = match paths {
            [] => Some(newest(Path::new("target/bench"))?),
            _ => None,
        };
        for path in paths.iter().chain(&newest) {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            for (number, line) in text.lines().enumerate() {
                let line = serde_json::from_str(line);
                let line =
                    line.with_context(|| format!("{}, line {}", path.display(), number + 1))?;
                results.add(line);
            }
        }
        Ok(results)
    }

    pub(crate) fn add(&mut self, line: Line) {
        match line {
            Line::Run(about) => self.runs.push(about),
            Line::Cell(outcome) => self
                .cells
                .push((self.runs.len().saturating_sub(1), outcome)),
        }
    }

    /// The outcomes of a candidate.
    pub(crate) fn of<'a>(&'a self, candidate: &'a str) -> impl Iterator<Item = &'a Outcome> {
        let outcomes = self.cells.iter().map(|(_, outcome)| outcome);
        outcomes.filter(move |outcome| outcome.candidate == candidate)
    }

    /// The outcome of a candidate in a cell, in one round of one run.
    pub(crate) fn find(
        &self,
        run: usize,
        round: u32,
        cell: &str,
        candidate: &str,
    ) -> Option<&Outcome> {
        let mut cells = self.cells.iter().filter(|(of, _)| *of == run);
        let found = cells.find(|(_, outcome)| {
            outcome.round == round && outcome.cell == cell && outcome.candidate == candidate
        });
        found.map(|(_, outcome)| outcome)
    }

    /// The set of the run with this number.
    pub(crate) fn set(&self, run: usize) -> &str {
        self.runs.get(run).map_or("", |about| &about.set)
    }
}

/// The newest file of results in a folder.
fn newest(folder: &Path) -> anyhow::Result<PathBuf> {
    let none = || format!("there are no results in {}", folder.display());
    let entries = fs::read_dir(folder).with_context(none)?;
    let paths = entries.flatten().map(|entry| entry.path());
    let results = paths.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jsonl")
    });
    // The names of files are times, so the greatest name is the newest.
    results.max().with_context(none)
}
