//! Compares figures with goals.

use std::collections::BTreeSet;

use super::{At, Goal, Pick};
use crate::{
    report::stats::{Spread, spread},
    run::{Outcome, Results},
};

/// The result of a goal in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Missed,
    /// Within the gate.
    Kept,
    /// At least as good as the aim.
    Reached,
    NotRun,
}

/// The figure of a goal in one cell, compared with gate and aim.
#[derive(Clone, Debug)]
pub(crate) struct GoalResult<'a> {
    pub(crate) goal: &'a Goal,
    pub(crate) cell: String,
    pub(crate) gate: f64,
    pub(crate) aim: f64,
    pub(crate) now: Option<Spread>,
    /// Rounds in which other processes used the cores.
    pub(crate) noisy: usize,
    pub(crate) verdict: Verdict,
}

impl GoalResult<'_> {
    /// How near a figure is to its gate, or how far beyond: a greater number is worse.
    pub(super) fn strain(&self) -> f64 {
        let value = self.now.map_or(0.0, |now| self.goal.pick(now));
        match self.goal.at {
            At::Most => value - self.gate,
            At::Least => self.gate - value,
        }
    }
}

/// Compares results with goals: a row for each goal and cell.
pub(crate) fn evaluate<'a>(goals: &'a [Goal], results: &Results) -> Vec<GoalResult<'a>> {
    let rows = goals.iter().flat_map(|goal| {
        goal.cells(results)
            .into_iter()
            .map(|cell| goal.row(cell, results))
    });
    rows.collect()
}

/// The value of a goal's figure in one round.
#[derive(Clone, Copy, Debug)]
struct Point {
    value: f64,
    /// The difference to the figure that it is compared with.
    more: f64,
    noisy: bool,
}

impl Goal {
    /// The names of the cells that the goal's pattern matches; the pattern itself if it matches no cell.
    fn cells(&self, results: &Results) -> Vec<String> {
        let known: BTreeSet<_> = results
            .cells
            .iter()
            .map(|(_, outcome)| outcome.cell.as_str())
            .collect();
        let mut cells = Vec::new();
        for pattern in &self.cells {
            let named = known.iter().filter(|cell| matches(pattern, cell));
            let with_points = named.filter(|cell| !self.points(cell, results).is_empty());
            let found: Vec<_> = with_points.map(|cell| (*cell).to_owned()).collect();
            match found.is_empty() {
                true => cells.push(pattern.clone()),
                false => cells.extend(found),
            }
        }
        let mut seen = BTreeSet::new();
        cells.retain(|cell| seen.insert(cell.clone()));
        cells
    }

    fn row(&self, cell: String, results: &Results) -> GoalResult<'_> {
        let points = self.points(&cell, results);
        let gate = self.gates.get(&cell).copied().unwrap_or(self.gate);
        let aim = self.aims.get(&cell).copied().unwrap_or(self.aim);
        let now = spread(points.iter().map(|point| point.value));
        let more = spread(points.iter().map(|point| point.more));
        let verdict = match now.zip(more) {
            None => Verdict::NotRun,
            Some((now, _)) if self.fulfils(self.pick(now), aim) => Verdict::Reached,
            Some((now, _)) if self.fulfils(self.pick(now), gate) => Verdict::Kept,
            Some((_, more)) if self.within.is_some_and(|within| more.median <= within) => {
                Verdict::Kept
            }
            Some(_) => Verdict::Missed,
        };
        GoalResult {
            goal: self,
            cell,
            gate,
            aim,
            now,
            noisy: points.iter().filter(|point| point.noisy).count(),
            verdict,
        }
    }

    fn pick(&self, now: Spread) -> f64 {
        match (self.pick, self.at) {
            (Pick::Median, _) => now.median,
            (Pick::Worst, At::Most) => now.max,
            (Pick::Worst, At::Least) => now.min,
        }
    }

    fn fulfils(&self, value: f64, bound: f64) -> bool {
        match self.at {
            At::Most => value <= bound,
            At::Least => value >= bound,
        }
    }

    /// The figure, or the ratio, of every round.
    fn points(&self, cell: &str, results: &Results) -> Vec<Point> {
        let mut points = Vec::new();
        for (run, of) in &results.cells {
            let set = results.set(*run);
            let counts = self.sets.is_empty() || self.sets.iter().any(|wanted| wanted == set);
            if !counts || of.cell != cell || of.candidate != self.of {
                continue;
            }
            let Some(value) = figure(results, *run, of, &self.figure) else {
                continue;
            };
            if self.against.is_none() && self.beside.is_none() {
                points.push(Point {
                    value,
                    more: value,
                    noisy: of.noisy,
                });
                continue;
            }
            let base = self.base(results, *run, of);
            let other =
                base.and_then(|base| Some((base, figure(results, *run, base, &self.figure)?)));
            if let Some((base, other)) = other {
                points.push(Point {
                    value: value / other,
                    more: value - other,
                    noisy: of.noisy || base.noisy,
                });
            }
        }
        points
    }

    /// The outcome with which `of` is compared, in the same round.
    fn base<'a>(&self, results: &'a Results, run: usize, of: &Outcome) -> Option<&'a Outcome> {
        let candidate = self.against.as_ref().unwrap_or(&self.of);
        let cell = match (&self.beside, of.cell.split_once(':')) {
            (Some(beside), Some((_, shape))) => format!("{beside}:{shape}"),
            _ => of.cell.clone(),
        };
        results.find(run, of.round, &cell, candidate)
    }
}

/// A figure of an outcome; `added_…` is the difference to the direct connection in the same round.
fn figure(results: &Results, run: usize, of: &Outcome, name: &str) -> Option<f64> {
    let Some(name) = name.strip_prefix("added_") else {
        return of.figures.get(name).copied();
    };
    let direct = results.find(run, of.round, &of.cell, "direct")?;
    Some(of.figures.get(name)? - direct.figures.get(name)?)
}

/// Whether a name matches a pattern, in which one `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, end)) => {
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
    }
}
