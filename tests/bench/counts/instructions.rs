//! Instructions of one step, as callgrind counts them: the same for the same binary, whatever else the
//! machine is doing.

use std::process::Command;

use super::steps::{STEPS, Step};
use super::table::Count;

/// Two lengths of a run; what is between them is the step alone, without the start of the process.
const SHORT: u64 = 200;
const LONG: u64 = 1_200;

pub(crate) fn count() -> Vec<Count> {
    let count = |step: &Step| Count {
        what: step.what.to_owned(),
        unit: "instructions",
        count: (collected(step.name, LONG) - collected(step.name, SHORT)) / (LONG - SHORT),
    };
    STEPS.iter().map(count).collect()
}

/// Instructions of a process that does a step so many times.
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
