//! `pyrotee-bench check`: prints which goals are met.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    Goal, GoalResult,
    evaluate::{Verdict, evaluate},
};
use crate::run::Results;

/// The arguments of `pyrotee-bench check`.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// Results (*.jsonl, default: the newest in target/bench) and goals (*.toml, default: the built-in goals)
    files: Vec<PathBuf>,
    /// Count goals whose cells were not run as missed
    #[arg(long)]
    all: bool,
}

/// Prints a table of goals; the exit code is 1 if a gate was missed.
///
/// # Errors
///
/// If a file cannot be read.
#[expect(clippy::print_stdout, reason = "this is its output")]
pub(crate) fn check(settings: &Settings) -> anyhow::Result<ExitCode> {
    let is_goals = |path: &&PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    };
    let goals = settings.files.iter().find(is_goals);
    let files: Vec<_> = settings
        .files
        .iter()
        .filter(|path| !is_goals(path))
        .cloned()
        .collect();
    let goals = Goal::all(goals.map(PathBuf::as_path))?;
    let results = Results::read(&files)?;
    let rows = evaluate(&goals, &results);
    println!("{}", table(&rows, true));
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let [missed, kept, reached, not_run] = [
        Verdict::Missed,
        Verdict::Kept,
        Verdict::Reached,
        Verdict::NotRun,
    ]
    .map(count);
    println!("{missed} missed, {kept} kept, {reached} as aimed at, {not_run} not run");
    let failed = missed > 0 || settings.all && not_run > 0;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Most cells of a goal that are all shown. Of more cells, those that miss the goal and the worst other one are shown.
const MANY: usize = 4;

/// The rows as a table; with `all`, rows that were not run as well.
pub(crate) fn table(rows: &[GoalResult<'_>], all: bool) -> String {
    let mut text =
        "| goal | | cell | gate | aim | now [min..max] | |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    let mut add = |row: &GoalResult<'_>, cell: &str| {
        writeln!(text, "{}", line(row, cell)).expect("a string takes everything")
    };
    for of_goal in rows.chunk_by(|one, other| std::ptr::eq(one.goal, other.goal)) {
        let (not_run, run): (Vec<_>, Vec<_>) = of_goal
            .iter()
            .partition(|row| row.verdict == Verdict::NotRun);
        let (missed, others): (Vec<_>, Vec<_>) = run
            .iter()
            .copied()
            .partition(|row: &&GoalResult<'_>| row.verdict == Verdict::Missed);
        if run.len() <= MANY {
            run.iter().for_each(|row| add(row, &row.cell));
        } else {
            missed.iter().for_each(|row| add(row, &row.cell));
            let worst = others
                .iter()
                .max_by(|one, other| one.strain().total_cmp(&other.strain()));
            if let Some(worst) = worst {
                add(
                    worst,
                    &format!("{}, the worst of {}", worst.cell, others.len()),
                );
            }
        }
        if let (Some(first), true) = (not_run.first(), all) {
            let cells: Vec<_> = not_run.iter().map(|row| row.cell.as_str()).collect();
            add(first, &cells.join(", "));
        }
    }
    text
}

fn line(row: &GoalResult<'_>, cell: &str) -> String {
    let sign = if row.goal.at == super::At::Most {
        "≤"
    } else {
        "≥"
    };
    let now = row
        .now
        .map_or_else(|| "–".to_owned(), |now| now.to_string());
    let noisy = match row.noisy {
        0 => String::new(),
        rounds => format!(", {rounds} noisy"),
    };
    let verdict = match row.verdict {
        Verdict::Missed => "**missed**",
        Verdict::Kept => "kept",
        Verdict::Reached => "reached",
        Verdict::NotRun => "not run",
    };
    let GoalResult {
        goal, gate, aim, ..
    } = row;
    format!(
        "| {} | {} | {cell} | {sign} {gate} | {sign} {aim} | {now}{noisy} | {verdict} |",
        goal.id, goal.what
    )
}
