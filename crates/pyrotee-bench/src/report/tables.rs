//! Tables of medians, and of ratios within rounds.

use std::collections::BTreeMap;

use super::{
    order::Order,
    stats::{ratio, relay_beside, short, spread},
    tls,
};
use crate::{
    goals::{self, Goal, evaluate},
    run::{Outcome, Results},
};

/// A column: the name of its figure, and its heading.
type Column = (&'static str, &'static str);

const TRAFFIC: [Column; 6] = [
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("cpu_ms", "CPU ms a request"),
    ("rss_mb", "peak RSS MB"),
    ("rate", "responses a second"),
    ("delivered", "share delivered"),
];

const SICK: [Column; 6] = [
    ("rate", "responses a second"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("cpu_ms", "CPU ms a request"),
    ("rss_mb", "peak RSS MB"),
    ("delivered", "share at healthy targets"),
];

const PROCESS: [Column; 7] = [
    ("rss_mb", "RSS MB"),
    ("rss_share", "share of the limit"),
    ("slope_mb_per_minute", "growth MB/min"),
    ("start_ms", "start ms"),
    ("binary_mb", "binary MB"),
    ("noticed_s", "noticed after s"),
    ("caught_up_s", "caught up after s"),
];

const GROWTH: [Column; 7] = [
    ("cpu_ms", "CPU ms a request"),
    ("cpu_per_copy_ms", "CPU ms a copy"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("rss_mb", "peak RSS MB"),
    ("spool_gb", "spool GB"),
    ("cpu_ms_growth", "CPU full / empty"),
];

const SICKNESSES: [&str; 8] = [
    "healthy", "dead", "slow", "hang", "stall", "500", "reset", "drip",
];
const PROCESSES: [&str; 8] = [
    "idle",
    "start",
    "sidecar",
    "sidecar-hang",
    "full",
    "flood",
    "large",
    "recovery",
];

/// Every region with results, with its name.
pub(super) fn regions(results: &Results) -> anyhow::Result<Vec<(&'static str, String)>> {
    let goals = Goal::all(None)?;
    let rows = evaluate(&goals, results);
    let first = |cell: &str| cell.split(':').next().unwrap_or_default().to_owned();
    let grows = |cell: &str| {
        ["targets", "spool"].contains(&&*first(cell)) || cell.starts_with("connections-")
    };
    let all = [
        ("machine", machine(results)),
        (
            "traffic",
            table(
                results,
                |cell| !cell.contains(':') && !PROCESSES.contains(&cell),
                &TRAFFIC,
            ),
        ),
        ("ratios", ratios(results)),
        ("tls", tls::table(results)),
        (
            "faults",
            table(results, |cell| SICKNESSES.contains(&&*first(cell)), &SICK),
        ),
        (
            "process",
            table(results, |cell| PROCESSES.contains(&&*first(cell)), &PROCESS),
        ),
        ("growth", table(results, grows, &GROWTH)),
        ("goals", goals::table(&rows, false)),
    ];
    // A table of two lines has no rows.
    Ok(all
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 2)
        .collect())
}

fn machine(results: &Results) -> String {
    let mut text = "| set | time (UTC) | rounds | machine | kernel, congestion control | load at the start |\n|---|---|---|---|---|---|\n".to_owned();
    for run in &results.runs {
        let machine = &run.machine;
        let line = format!(
            "| {} | {} | {} | {} cores, {} | {}, {} | {} |\n",
            run.set,
            run.time,
            run.rounds,
            machine.cores,
            machine.cpu,
            machine.kernel,
            machine.congestion,
            machine.load
        );
        text += &line;
    }
    let outcomes = results.cells.iter().map(|(_, outcome)| outcome);
    let noisy = outcomes.filter(|outcome| outcome.noisy).count();
    let all = results.cells.len();
    text + &format!(
        "\nOther processes used more than a tenth of a core in {noisy} of {all} trials."
    )
}

/// A table of medians of all rounds: a row for each cell and candidate.
fn table(results: &Results, wanted: impl Fn(&str) -> bool, columns: &[Column]) -> String {
    let mut rows = BTreeMap::<(usize, &str, usize), Vec<&Outcome>>::new();
    let order = Order::of(results);
    for (_, outcome) in results
        .cells
        .iter()
        .filter(|(_, outcome)| wanted(&outcome.cell))
    {
        let key = (
            order.cell(&outcome.cell),
            outcome.cell.as_str(),
            order.candidate(&outcome.candidate),
        );
        rows.entry(key).or_default().push(outcome);
    }
    let of = |outcomes: &[&Outcome], figure: &str| {
        spread(
            outcomes
                .iter()
                .filter_map(|outcome| outcome.figures.get(figure).copied()),
        )
    };
    // A column without values is not shown.
    let columns: Vec<_> = columns
        .iter()
        .filter(|(figure, _)| rows.values().any(|row| of(row, figure).is_some()))
        .collect();
    let mut text = "| cell | candidate |".to_owned();
    columns
        .iter()
        .for_each(|(_, head)| text += &format!(" {head} |"));
    text += &format!("\n|---|---|{}\n", "---|".repeat(columns.len()));
    for ((_, cell, _), row) in &rows {
        text += &format!("| {cell} | {} |", row[0].candidate);
        for (figure, _) in &columns {
            let value = of(row, figure).map_or_else(|| "–".to_owned(), |value| short(value.median));
            text += &format!(" {value} |");
        }
        text.push('\n');
    }
    text
}

/// A table of ratios of the relay to every candidate with the same number of copies, taken within rounds.
fn ratios(results: &Results) -> String {
    let figures = ["cpu_ms", "p50_ms", "p99_ms", "rate"];
    let mut text =
        "| cell | relay / | CPU | p50 | p99 | responses a second |\n|---|---|---|---|---|---|\n"
            .to_owned();
    let order = Order::of(results);
    for cell in order.cells.iter().filter(|cell| !cell.contains(':')) {
        for candidate in &order.candidates {
            let Some(relay) = relay_beside(candidate) else {
                continue;
            };
            let ratios: Vec<_> = figures
                .iter()
                .map(|figure| ratio(results, cell, &relay, candidate, figure))
                .collect();
            if ratios.iter().all(Option::is_none) {
                continue;
            }
            text += &format!("| {cell} | {relay} / {candidate} |");
            for ratio in ratios {
                text += &ratio.map_or_else(|| " – |".to_owned(), |ratio| format!(" {ratio} |"));
            }
            text.push('\n');
        }
    }
    text
}
