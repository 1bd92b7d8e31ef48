//! The table of all runs, and what must hold on any machine.

use std::{collections::BTreeMap, fmt::Write};

use super::{APPLICATIONS, MIB, figures::Figures, kind::Kind};

/// The figures as a table with a column for each run.
pub(crate) fn table(runs: &[Figures]) -> String {
    let mut table = String::from("\n| figure |");
    for run in runs {
        write!(table, " {} |", run.setup.name).unwrap();
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(runs.len()));
    let mut row = |name: &str, figure: &dyn Fn(&Figures) -> String| {
        let cells: Vec<_> = runs.iter().map(figure).collect();
        write!(table, "\n| {name} | {} |", cells.join(" | ")).unwrap();
    };
    row("`memory-limit`, `state-limit`", &|run| {
        format!(
            "{} MiB, {} MiB",
            run.setup.memory_limit, run.setup.state_limit
        )
    });
    row("`max-targets`, `max-concurrent`", &|run| {
        format!("{}, {}", run.setup.max_targets, run.setup.max_concurrent)
    });
    row("loops that run, of 1,500", &|run| run.loops.to_string());
    row("scrapes", &|run| run.scrapes.to_string());
    row("profiles at the upstream", &|run| run.arrived.to_string());
    row("mean body of these", &|run| kilobytes(run.mean_body as f64));
    row("skipped", &|run| reasons(&run.skipped));
    row("failed", &|run| reasons(&run.failures));
    row("CPU of the relay", &|run| {
        format!("{:.1} s", run.cpu.as_secs_f64())
    });
    row("CPU for each scrape", &|run| {
        format!("{:.1} ms", run.cpu.as_secs_f64() * 1e3 / run.scrapes)
    });
    row("memory of the baselines", &|run| mebibytes(run.state));
    row("most resident memory", &|run| {
        mebibytes(run.resident as f64)
    });
    row("its bound", &|run| mebibytes(run.bound()));
    row("lateness: median, 99 %, largest", &|run| {
        let late = run.lateness;
        let all = [late.median, late.p99, late.largest];
        all.map(|seconds| format!("{:.0} ms", seconds * 1e3))
            .join(", ")
    });
    table
}

/// The promises that a run has broken.
pub(crate) fn faults(run: &Figures) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, fault: String| {
        if !holds {
            faults.push(format!("{}: {fault}", run.setup.name));
        }
    };
    let rest = run.rest.as_ref().expect("the run has ended");
    check(rest.balances(), format!("accounts disagree: {rest:?}"));
    let (lost, repeated) = (rest.ledger.lost().profiles, run.repeated);
    check(lost == 0, format!("{lost} profiles were dropped"));
    check(repeated == 0, format!("{repeated} profiles arrived twice"));
    let (resident, bound) = (run.resident_at_end as f64, run.bound());
    check(
        resident <= bound,
        format!(
            "memory passed its bound: {} of {}",
            mebibytes(resident),
            mebibytes(bound)
        ),
    );
    let loops = (APPLICATIONS * Kind::ALL.len()).min(run.setup.max_targets);
    check(
        run.loops == loops as f64,
        format!("{} loops run, not {loops}", run.loops),
    );
    let limit = (run.setup.state_limit * MIB) as f64;
    check(
        run.state <= limit,
        format!("the baselines take {}", mebibytes(run.state)),
    );
    // A relay on a slow machine may be late. It may not wait for an application that hangs.
    let late = run.lateness.median;
    check(
        late < 1.0,
        format!("half of all scrapes are {late:.1} s late"),
    );
    faults
}

fn reasons(reasons: &BTreeMap<String, f64>) -> String {
    let texts: Vec<_> = reasons
        .iter()
        .map(|(reason, times)| format!("`{reason}` {times}"))
        .collect();
    match texts.is_empty() {
        true => "–".to_owned(),
        false => texts.join(", "),
    }
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / MIB as f64)
}

fn kilobytes(bytes: f64) -> String {
    format!("{:.0} kB", bytes / 1e3)
}
