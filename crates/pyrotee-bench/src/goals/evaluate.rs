//! Figures against goals.

use std::collections::BTreeSet;

use super::{At, Goal, Pick};
use crate::{
    report::stats::{Spread, spread},
    run::{Outcome, Results},
};

/// What became of a goal in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Missed,
    /// Within the gate.
    Kept,
    /// As good as it is aimed at.
    Reached,
    NotRun,
}

/// A goal in one cell.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) goal: &'a Goal,
    pub(crate) cell: String,
    pub(crate) gate: f64,
    pub(crate) aim: f64,
    pub(crate) now: Option<Spread>,
    /// Rounds in which others used the cores.
    pub(crate) noisy: usize,
    pub(crate) verdict: Verdict,
}

/// Holds results against goals: a row for each goal and cell.
pub(crate) fn evaluate<'a>(goals: &'a [Goal], results: &Results) -> Vec<Row<'a>> {
    let rows = goals.iter().flat_map(|goal| {
        goal.cells(results)
            .into_iter()
            .map(|cell| goal.row(cell, results))
    });
    rows.collect()
}

/// What a round says about a goal.
#[derive(Clone, Copy, Debug)]
struct Point {
    value: f64,
    /// By how much it is more than what it is compared with.
    more: f64,
    noisy: bool,
}

impl Goal {
    /// The cells that it speaks of, by their names; what stands for none is its own name.
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

    fn row(&self, cell: String, results: &Results) -> Row<'_> {
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
        Row {
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

    /// What an outcome is compared with, in the same round.
    fn base<'a>(&self, results: &'a Results, run: usize, of: &Outcome) -> Option<&'a Outcome> {
        let candidate = self.against.as_ref().unwrap_or(&self.of);
        let cell = match (&self.beside, of.cell.split_once(':')) {
            (Some(beside), Some((_, shape))) => format!("{beside}:{shape}"),
            _ => of.cell.clone(),
        };
        find(results, run, of.round, &cell, candidate)
    }
}

/// A figure of an outcome; `added_…` is what comes on top of a direct connection in the same round.
fn figure(results: &Results, run: usize, of: &Outcome, name: &str) -> Option<f64> {
    let Some(name) = name.strip_prefix("added_") else {
        return of.figures.get(name).copied();
    };
    let direct = find(results, run, of.round, &of.cell, "direct")?;
    Some(of.figures.get(name)? - direct.figures.get(name)?)
}

fn find<'a>(
    results: &'a Results,
    run: usize,
    round: u32,
    cell: &str,
    candidate: &str,
) -> Option<&'a Outcome> {
    let mut all = results
        .cells
        .iter()
        .filter(|(of, _)| *of == run)
        .map(|(_, outcome)| outcome);
    all.find(|outcome| {
        outcome.round == round && outcome.cell == cell && outcome.candidate == candidate
    })
}

/// Whether a name is like a pattern, in which one star stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, end)) => {
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Line;

    fn outcome(cell: &str, candidate: &str, round: u32, figures: &[(&str, f64)]) -> Line {
        let figures: std::collections::BTreeMap<_, _> = figures
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        let text = serde_json::json!({
            "kind": "cell", "cell": cell, "candidate": candidate, "round": round, "repeated": 0, "noisy": false,
            "foreign": [0.0, 0.0], "figures": figures, "faults": [],
        });
        serde_json::from_value(text).unwrap()
    }

    fn goal(text: &str) -> Goal {
        toml::from_str(&format!("id = 'X'\nwhat = 'x'\n{text}")).unwrap()
    }

    fn results(lines: Vec<Line>) -> Results {
        let mut results = Results::default();
        lines.into_iter().for_each(|line| results.add(line));
        results
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_and_its_median_counts() {
        let goals = [goal(
            "of='a'\nagainst='b'\nfigure='f'\ncells=['c']\ngate=1.5\naim=1.0",
        )];
        let mut lines = Vec::new();
        // Ratios 2, 1.2 and 0.5, of figures that are far from each other between the rounds.
        for (round, of, base) in [(1, 2.0, 1.0), (2, 120.0, 100.0), (3, 5.0, 10.0)] {
            lines.push(outcome("c", "a", round, &[("f", of)]));
            lines.push(outcome("c", "b", round, &[("f", base)]));
        }
        let results = results(lines);
        let rows = evaluate(&goals, &results);
        let now = rows[0].now.unwrap();
        assert_eq!((now.min, now.median, now.max), (0.5, 1.2, 2.0));
        assert_eq!(rows[0].verdict, Verdict::Kept);
    }

    #[test]
    fn a_missed_gate_and_a_cell_that_was_not_run_are_told_apart() {
        let goals = [goal(
            "of='a'\nfigure='f'\ncells=['c','d']\ngate=1.0\naim=0.5\npick='worst'",
        )];
        let results = results(vec![
            outcome("c", "a", 1, &[("f", 0.1)]),
            outcome("c", "a", 2, &[("f", 1.1)]),
        ]);
        let verdicts: Vec<_> = evaluate(&goals, &results)
            .iter()
            .map(|row| row.verdict)
            .collect();
        assert_eq!(verdicts, [Verdict::Missed, Verdict::NotRun]);
    }

    #[test]
    fn a_sick_cell_is_compared_with_the_healthy_one_of_its_shape() {
        let text = "of='a'\nbeside='healthy'\nfigure='f'\ncells=['hang:*']\ngate=1.0\naim=1.0";
        let (ratio, allowed) = (goal(text), goal(&format!("{text}\nwithin=0.5")));
        let results = results(vec![
            outcome("hang:x", "a", 1, &[("f", 1.4)]),
            outcome("healthy:x", "a", 1, &[("f", 1.0)]),
            outcome("healthy:y", "a", 1, &[("f", 9.0)]),
        ]);
        let goals = [ratio, allowed];
        let rows = evaluate(&goals, &results);
        assert_eq!(rows[0].verdict, Verdict::Missed);
        assert_eq!(
            rows[1].verdict,
            Verdict::Kept,
            "a difference of 0.4 is within 0.5"
        );
    }

    #[test]
    fn what_is_added_is_what_comes_on_top_of_a_direct_connection() {
        let goals = [goal(
            "of='a'\nagainst='b'\nfigure='added_f'\ncells=['c']\ngate=0.5\naim=0.4",
        )];
        let results = results(vec![
            outcome("c", "direct", 1, &[("f", 1.0)]),
            outcome("c", "a", 1, &[("f", 2.0)]),
            outcome("c", "b", 1, &[("f", 3.0)]),
        ]);
        assert_eq!(evaluate(&goals, &results)[0].now.unwrap().median, 0.5);
    }
}
