//! Counts the instructions of one step with callgrind. The count is the same for the same binary, whatever else the
//! machine is doing.

use std::process::Command;

use super::steps::{STEPS, Step};
use super::table::Count;

/// Repetitions in a short and in a long run. The difference of the two counts is the step alone, without the start of
/// the process.
const SHORT: u64 = 200;
const LONG: u64 = 1_200;

pub(crate) fn count() -> Vec<Count> {
    let count = |step: &Step| Count {
        what: step.what.to_owned(),
        unit: "instructions",
        count: (collected(step.name, LONG) - collected(step.name, SHORT)) / (LONG - SHORT),
        tolerance: step.tolerance,
    };
    STEPS.iter().map(count).collect()
}

/// Instructions of a process that runs `step` so often as `times` says.
fn collected(step: &str, times: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["step", step, &times.to_string()])
        .output();
    let output = output.expect("valgrind is missing: apt-get install valgrind");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "valgrind failed: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = collected.unwrap_or_else(|| panic!("valgrind counted nothing: {said}"));
    number.trim().parse().unwrap()
}
